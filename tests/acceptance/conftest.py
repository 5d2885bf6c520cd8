# SPDX-License-Identifier: Apache-2.0
"""An api that asks for keys, for those who attack it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guarded_api import HEALTH, GuardedApi, Unfinished, guarded_api
from tests.portal import Portal, portal
from tests.recording_upstream import OK


@pytest.fixture(scope="session")
def shared_guarded(short_dir: Path) -> Iterator[GuardedApi]:
    with guarded_api(short_dir / "guarded-alone") as api:
        yield api


@pytest.fixture
def guarded_alone(shared_guarded: GuardedApi) -> GuardedApi:
    """A real api process with keys, before an upstream that notes what it is asked, and answers as it should."""
    shared_guarded.upstream.expect(OK)
    return shared_guarded


@pytest.fixture(scope="session")
def shared_portal(mlflow_url: str, short_dir: Path) -> Iterator[Portal]:
    """A whole bridge with sign-in by key and at an OpenID provider, and one browser."""
    with portal(mlflow_url, short_dir / "portal") as running:
        yield running


@pytest.fixture(scope="session")
def unfinished(shared_guarded: GuardedApi) -> dict[str, Unfinished]:
    """Clients that begin now and never come to an end, whatever else is tested meanwhile."""
    kept = HEALTH.replace(b"Connection: close\r\n", b"")
    begun = {
        "nothing": Unfinished(shared_guarded.url, b""),
        "half a line": Unfinished(shared_guarded.url, b"GET /x HT"),
        "a line each second": Unfinished(shared_guarded.url, b"GET /x HTTP/1.1\r\nHost: localhost\r\n", b"X-A: a\r\n"),
        "no second request": Unfinished(shared_guarded.url, kept),
        "half a second request": Unfinished(shared_guarded.url, kept + b"GET /x"),
    }
    for each in begun.values():
        each.start()
    return begun
