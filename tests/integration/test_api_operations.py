# SPDX-License-Identifier: Apache-2.0
"""The overview, series, lanes and workers of a real api, over a real store."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api
from bridge.operations.workers import WorkerReport
from bridge.outbox import Attempt
from bridge.redis_store.outbox import connect
from bridge.redis_store.worker_reports import RedisWorkerReports
from bridge.upstream import Unavailable
from tests.factories import RUN, accept_one, metric

LEASE = dt.timedelta(seconds=30)
LATER = dt.timedelta(minutes=5)
NAMED = "run:nightly%2F17"
POLLED = ["/v1/overview", "/v1/series?minutes=5&names=writes_accepted", "/v1/lanes", f"/v1/lanes/{RUN}", "/v1/workers"]


def get(http: Http, path: str) -> Any:
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def fail(api: Api, lane: str = RUN) -> None:
    claim = api.outbox.claim(lane, lease=LEASE)
    assert claim
    api.outbox.release(claim, after=LATER, attempt=Attempt(writes=1, reason="unavailable", message="status 503"))


@pytest.fixture
def worker(api: Api, environ: dict[str, str]) -> None:
    """A worker that has just reported."""
    api.outbox.report_worker("host:7")
    client = connect(environ["BRIDGE_STORE_URL"], timeout=dt.timedelta(seconds=5), connections=1)
    report = WorkerReport(version="0.2.0", started_at=dt.datetime.now(dt.UTC), concurrency=8, delivering=2)
    RedisWorkerReports(client).report("host:7", report)
    client.close()


@pytest.mark.usefixtures("worker")
def test_an_idle_overview_is_not_sent_twice(http: Http) -> None:
    first = http.get("/v1/overview")
    again = http.get("/v1/overview", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    document: Any = first.get_json()
    assert (document["status"], document["why"]) == ("idle", [])
    assert document["workers"] == {"alive": 1, "delivering": 2, "versions": ["0.2.0"]}
    assert document["gate"]["paused"] is None
    assert document["backlog"]["writes"] == 0


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("path", POLLED)
def test_what_is_polled_is_compared(http: Http, api: Api, path: str) -> None:
    accept_one(api.outbox, metric(1), client="a")
    fail(api)

    first = http.get(path)

    assert first.status_code == 200
    assert first.headers["ETag"]
    # The age of a lane's oldest write is part of a lane, as it is of a run's backlog.
    if "lanes" not in path:
        assert http.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


@pytest.mark.usefixtures("worker")
def test_an_open_breaker_is_said_with_why_since_when_and_what_comes_next(http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    for _ in range(5):
        api.flow_control.record(Unavailable(reason="status 503 with a body that is not from MLflow", status=503))

    document = get(http, "/v1/overview")

    (cause,) = document["why"]
    assert (document["status"], cause["code"], cause["text"]) == ("degraded", "breaker-open", "Upstream answers 503.")
    assert began < dt.datetime.fromisoformat(cause["since"]) <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    tried_at = dt.datetime.fromisoformat(document["gate"]["opens_again_at"])
    assert cause["next"] == f"The next call is tried at {tried_at:%H:%M:%S} UTC."
    assert (document["gate"]["breaker"], document["gate"]["since"]) == ("open", cause["since"])
    assert (document["backlog"]["writes"], document["backlog"]["lanes"]) == (1, 1)


def test_without_workers_the_overview_says_so(http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")

    document = get(http, "/v1/overview")

    assert (document["status"], [cause["code"] for cause in document["why"]]) == ("degraded", ["no-workers"])
    assert document["workers"]["alive"] == 0
    assert get(http, "/v1/workers") == {"workers": []}


def test_without_its_store_the_overview_is_a_problem(http_with: Callable[[dict[str, str]], Http]) -> None:
    http = http_with({"BRIDGE_STORE_URL": "redis://127.0.0.1:1/0"})

    for path in POLLED:
        answer = http.get(path)
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert "ETag" not in answer.headers


def test_series_have_a_value_for_each_minute(http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")
    api.operations.sample_gauges()

    document = get(http, "/v1/series?names=pending_writes,writes_accepted,delivery_lag_seconds&minutes=3")

    assert (document["step"], document["partial"]) == (60, True)
    assert list(document["series"]) == ["pending_writes", "writes_accepted", "delivery_lag_seconds"]
    assert 1 in document["series"]["pending_writes"]["values"]
    assert document["series"]["delivery_lag_seconds"] == {"kind": "histogram", "p50": [None] * 3, "p95": [None] * 3}
    assert len(get(http, "/v1/series?minutes=180")["series"]["writes_accepted"]["values"]) == 180


@pytest.mark.parametrize(
    "path",
    [
        "/v1/series?names=nothing",
        "/v1/series?minutes=181",
        "/v1/series?minutes=0",
        "/v1/series?from=1",
        "/v1/lanes?state=odd",
        "/v1/lanes?order=size",
        "/v1/lanes?cursor=x",
        "/v1/lanes?limit=1001",
        "/v1/lanes?page=2",
    ],
)
def test_a_query_that_is_not_valid_is_refused(http: Http, path: str) -> None:
    answer = http.get(path)

    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


def test_all_pages_of_lanes_are_one_csv(http: Http, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.operations.PAGE_ROWS", 1)
    accept_one(api.outbox, metric(), client="=a")
    accept_one(api.outbox, metric(run_id="b" * 32), client="b")

    answer = http.get("/v1/lanes?order=oldest", headers={"Accept": "text/csv"})

    assert answer.content_type.startswith("text/csv")
    columns, *rows = csv.reader(io.StringIO(answer.get_data(as_text=True)))
    place = columns.index("client")
    assert sorted((row[0], row[place]) for row in rows) == sorted([(RUN, "'=a"), ("b" * 32, "b")])


def test_lanes_are_listed_and_one_is_attempted_at_once(http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")
    accept_one(api.outbox, metric(1, run_id="b" * 32), client="b")
    fail(api)

    failing = get(http, "/v1/lanes?state=failing")
    answer = http.post(f"/v1/lanes/{RUN}/attempt")
    again = api.outbox.claim(RUN, lease=LEASE)

    (lane,) = failing["lanes"]
    assert (lane["lane"], lane["client"], lane["attempts"], lane["state"]) == (RUN, "a", 1, "failing")
    assert failing["next"] is None
    assert [each["lane"] for each in get(http, "/v1/lanes?client=b")["lanes"]] == ["b" * 32]
    document: Any = answer.get_json()
    assert (answer.status_code, document["lane"], document["next_attempt_at"]) == (202, RUN, None)
    assert again


def test_lanes_are_listed_as_csv(http: Http, api: Api) -> None:
    accept_one(api.outbox, metric(1), client="a")

    answer = http.get("/v1/lanes?client=a", headers={"Accept": "text/csv"})

    (row,) = csv.DictReader(answer.text.splitlines())
    assert answer.content_type.startswith("text/csv")
    assert (row["lane"], row["pending"]) == (RUN, "1")


def test_a_lane_that_nothing_is_known_of_is_not_found(http: Http) -> None:
    for method, path in (("GET", "/v1/lanes/x"), ("POST", "/v1/lanes/x/attempt"), ("GET", f"/v1/lanes/{NAMED}")):
        assert http.open(path, method=method).status_code == 404
