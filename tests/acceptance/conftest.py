# SPDX-License-Identifier: Apache-2.0
"""An api that asks for keys, for those who attack it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guarded_api import HEALTH, GuardedApi, Unfinished, guarded_api


@pytest.fixture(scope="session")
def guarded_alone(short_dir: Path) -> Iterator[GuardedApi]:
    """A real api process with keys, before an upstream that notes what it is asked."""
    with guarded_api(short_dir / "guarded-alone") as api:
        yield api


@pytest.fixture(scope="session")
def unfinished(guarded_alone: GuardedApi) -> dict[str, Unfinished]:
    """Clients that begin now and never come to an end, whatever else is tested meanwhile."""
    kept = HEALTH.replace(b"Connection: close\r\n", b"")
    begun = {
        "nothing": Unfinished(guarded_alone.url, b""),
        "half a line": Unfinished(guarded_alone.url, b"GET /x HT"),
        "a line each second": Unfinished(guarded_alone.url, b"GET /x HTTP/1.1\r\nHost: localhost\r\n", b"X-A: a\r\n"),
        "no second request": Unfinished(guarded_alone.url, kept),
        "half a second request": Unfinished(guarded_alone.url, kept + b"GET /x"),
    }
    for each in begun.values():
        each.start()
    return begun
