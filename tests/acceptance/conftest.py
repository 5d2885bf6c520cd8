# SPDX-License-Identifier: Apache-2.0
"""An api that asks for keys, for those who attack it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guarded_api import GuardedApi, guarded_api


@pytest.fixture(scope="session")
def guarded_alone(short_dir: Path) -> Iterator[GuardedApi]:
    """A real api process with keys, before an upstream that notes what it is asked."""
    with guarded_api(short_dir / "guarded-alone") as api:
        yield api
