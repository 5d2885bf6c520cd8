# SPDX-License-Identifier: Apache-2.0
"""What many consoles poll is made once a second, and is for each of them what it would get alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from api.routes import shared_responses
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.operations.snapshot import Snapshot
from bridge.redis_store.snapshot import RedisSnapshots
from tests.factories import accept_one, metric

CONSOLES = 10


class Reads:
    """Counts the snapshots that are read; each waits until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.may_end = threading.Event()
        self.may_end.set()
        read = RedisSnapshots.read

        def counted(snapshots: RedisSnapshots) -> Snapshot:
            self.count += 1
            self.may_end.wait(30)
            if self.error:
                raise self.error
            return read(snapshots)

        monkeypatch.setattr(RedisSnapshots, "read", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    # No test depends on how fast the machine is.
    monkeypatch.setattr(shared_responses, "MAX_AGE_S", 600.0)
    return Reads(monkeypatch)


def overview_of(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    return response.get_json()


def pause(http: Http) -> TestResponse:
    [upstream] = http.get("/v1/upstreams").get_json()["upstreams"]
    return http.put(f"/v1/upstreams/{upstream['id']}/pause", json={"paused": True, "why": "tonight"})


def poll(http: Http, count: int, **headers: str) -> list[TestResponse]:
    """Poll from as many consoles at once."""
    with ThreadPoolExecutor(count) as consoles:
        return list(consoles.map(lambda _: http.get("/v1/overview", headers=headers), range(count)))


def test_consoles_that_poll_at_once_get_one_response(http: Http, reads: Reads) -> None:
    reads.may_end.clear()
    with ThreadPoolExecutor(1) as all_consoles:
        polled = all_consoles.submit(poll, http, CONSOLES)
        reads.may_end.set()
        responses = polled.result()

    assert reads.count == 1
    assert len({(response.headers["ETag"], response.data) for response in responses}) == 1
    assert {response.status_code for response in responses} == {200}
    assert len({response.headers["X-Request-Id"] for response in responses}) == CONSOLES


def test_each_console_compares_what_it_has(http: Http, reads: Reads) -> None:
    first = http.get("/v1/overview", headers={"If-None-Match": '"of yesterday"'})
    same = http.get("/v1/overview", headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
    weak = http.get("/v1/overview", headers={"If-None-Match": f"W/{first.headers['ETag']}"})
    every = http.get("/v1/overview", headers={"If-None-Match": "*"})
    new = http.get("/v1/overview")

    assert [each.status_code for each in (first, same, weak, every, new)] == [200, 304, 304, 304, 200]
    assert same.data == b""
    assert "Content-Type" not in same.headers
    assert same.headers["ETag"] == first.headers["ETag"]
    assert new.data == first.data
    assert reads.count == 1


def test_a_response_is_shared_for_a_second(http: Http, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    http.get("/v1/overview")
    monkeypatch.setattr(shared_responses, "MAX_AGE_S", 0.0)
    http.get("/v1/overview")

    assert reads.count == 2


def test_different_questions_share_nothing(http: Http) -> None:
    one = http.get("/v1/series?names=pending_writes&minutes=3").get_json()
    other = http.get("/v1/series?names=writes_accepted&minutes=3").get_json()

    assert (list(one["series"]), list(other["series"])) == (["pending_writes"], ["writes_accepted"])


def test_who_changes_something_sees_it_at_once(http: Http, api: Api, reads: Reads) -> None:
    accept_one(api.outbox, metric(1), client="a")
    before = overview_of(http.get("/v1/overview"))
    paused = pause(http)
    after = overview_of(http.get("/v1/overview"))

    assert paused.status_code == 200, paused.text
    assert (before["gate"]["paused"], after["gate"]["paused"]["why"]) == (None, "tonight")
    assert reads.count == 2


def test_what_was_read_before_a_change_is_not_shared_after_it(http: Http, reads: Reads) -> None:
    reads.may_end.clear()
    with ThreadPoolExecutor(1) as console:
        early = console.submit(http.get, "/v1/overview")
        assert pause(http).status_code == 200
        late = console.submit(http.get, "/v1/overview")
        reads.may_end.set()
        early.result()

        assert overview_of(late.result())["gate"]["paused"]


def test_an_error_is_for_those_who_wait_for_it_only(http: Http, reads: Reads) -> None:
    reads.error = StoreUnavailable("gone")
    failed = poll(http, CONSOLES)
    reads.error = None

    assert {response.status_code for response in failed} == {503}
    assert {response.content_type for response in failed} == {"application/problem+json"}
    assert overview_of(http.get("/v1/overview"))["backlog"]["writes"] == 0
