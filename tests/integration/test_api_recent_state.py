# SPDX-License-Identifier: Apache-2.0
"""What many consoles poll is read once a second; what an operator changes is seen at once."""

import datetime as dt
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.operations import recent_state
from bridge.operations.snapshot import Snapshot
from bridge.redis_store.snapshot import RedisSnapshots
from tests.factories import accept_one, metric


class Reads:
    """Counts the snapshots that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.error: Exception | None = None
        read = RedisSnapshots.read

        def counted(snapshots: RedisSnapshots) -> Snapshot:
            self.count += 1
            if self.error:
                raise self.error
            return read(snapshots)

        monkeypatch.setattr(RedisSnapshots, "read", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    # No test depends on how fast the machine is. Tests name this fixture first: the api reads the age when it is made.
    monkeypatch.setattr(recent_state, "_MAX_AGE", dt.timedelta(minutes=10))
    return Reads(monkeypatch)


def overview_of(http: Http) -> Any:
    response = http.get("/v1/overview")
    assert response.status_code == 200, response.text
    return response.get_json()


def pause(http: Http) -> TestResponse:
    [upstream] = http.get("/v1/upstreams").get_json()["upstreams"]
    return http.put(f"/v1/upstreams/{upstream['id']}/pause", json={"paused": True, "why": "tonight"})


def test_consoles_that_poll_within_a_second_read_the_store_once(reads: Reads, http: Http) -> None:
    first, *others = [http.get("/v1/overview") for _ in range(10)]
    held = http.get("/v1/overview", headers={"If-None-Match": first.headers["ETag"]})

    assert {response.data for response in others} == {first.data}
    assert held.status_code == 304
    assert reads.count == 1


def test_who_changes_something_sees_it_at_once(reads: Reads, http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")
    before = overview_of(http)
    paused = pause(http)
    after = overview_of(http)

    assert paused.status_code == 200, paused.text
    assert (before["gate"]["paused"], after["gate"]["paused"]["why"]) == (None, "tonight")
    assert reads.count == 2


def test_a_failure_is_not_kept(reads: Reads, http: Http) -> None:
    reads.error = StoreUnavailable("gone")
    failed = http.get("/v1/overview")
    reads.error = None

    assert failed.status_code == 503
    assert overview_of(http)["backlog"]["writes"] == 0
