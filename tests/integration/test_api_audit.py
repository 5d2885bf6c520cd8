# SPDX-License-Identifier: Apache-2.0
"""One line for each request: who, what, whether he may, what came of it; never what was in it."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.events import Event, RequestCompleted
from schemas.client import Scope
from tests.asgi_client import client_of
from tests.factories import RUN
from tests.fakes import Events
from tests.integration.test_api_access import LOG_METRIC, METRIC, key_for
from tests.log_output import Output, logging_to
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

Lines = Callable[[], list[RequestCompleted]]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def guarded(environ: dict[str, str], events: Events) -> Api:
    return replace(build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"})), observe=events)


@pytest.fixture
def http(guarded: Api) -> Iterator[Http]:
    with client_of(guarded) as client:
        yield client


def line(events: Events) -> RequestCompleted:
    [told] = events.of(RequestCompleted)
    events.seen.clear()
    return told


def test_a_write_is_told_with_its_run_and_its_job(http: Http, guarded: Api, events: Events) -> None:
    headers = {"Authorization": f"Bearer {key_for(guarded, 'nightly')}", "X-Request-Id": "night-1:7"}

    answer = http.post(f"{LOG_METRIC}?secret=in-the-query", json=METRIC, headers=headers)

    told = line(events)
    assert (told.client, told.action, told.decision, told.status) == ("nightly", "LogMetric", "allowed", 200)
    assert (told.method, told.path, told.lane, told.job_id) == ("POST", LOG_METRIC, RUN, answer.headers["Job-Id"])
    assert (told.request_id, answer.headers["X-Request-Id"]) == ("night-1:7", "night-1:7")
    assert "secret" not in str(told)
    assert headers["Authorization"][7:] not in str(told)


@pytest.mark.parametrize(
    ("scopes", "method", "path", "expected"),
    [
        ((Scope.READ,), "POST", LOG_METRIC, ("LogMetric", "denied", 403)),
        ((Scope.WRITE,), "GET", "/v1/jobs/nothing", ("GetJob", "allowed", 404)),
        ((Scope.WRITE,), "GET", "/api/2.0/mlflow/runs/get", ("GetRun", "denied", 403)),
        (None, "GET", "/v1/backlog", (None, "unauthenticated", 401)),
        (None, "GET", "/healthz", (None, "allowed", 200)),
        ((Scope.ADMIN,), "DELETE", "/v1/dead-letters/x.1", ("DiscardDeadLetter", "allowed", 404)),
    ],
)
def test_what_is_denied_is_told_as_well(
    http: Http,
    guarded: Api,
    events: Events,
    scopes: tuple[Scope, ...] | None,
    method: str,
    path: str,
    expected: tuple[Any, ...],
) -> None:
    headers = {} if scopes is None else {"Authorization": f"Bearer {key_for(guarded, scopes=scopes)}"}

    http.open(path, method=method, headers=headers, json={} if method == "POST" else None)

    told = line(events)
    assert (told.action, told.decision, told.status) == expected
    assert told.client == ("unauthenticated" if scopes is None else "c")


def test_a_proxied_call_is_told_with_upstreams_own_id(
    http: Http, guarded: Api, events: Events, front: SignatureFront
) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json", "x-amzn-RequestId": "aws-1"}, b"{}"))

    http.get("/api/2.0/mlflow/runs/get", headers={"Authorization": f"Bearer {key_for(guarded)}"})

    assert line(events).upstream_request_id == "aws-1"


@pytest.mark.parametrize(("sent", "known"), [("night-1:7", "night-1:7"), ('a"b c', None), (None, None)])
def test_upstream_is_told_the_id_of_a_proxied_request(
    http: Http, guarded: Api, front: SignatureFront, sent: str | None, known: str | None
) -> None:
    headers = {"Authorization": f"Bearer {key_for(guarded)}"} | ({"X-Request-Id": sent} if sent else {})

    answer = http.get("/api/2.0/mlflow/experiments/search?max_results=1", headers=headers)

    [call] = [call for call in front.calls if call.path.endswith("/experiments/search")]
    assert call.headers["x-request-id"] == answer.headers["X-Request-Id"]
    assert known in (None, call.headers["x-request-id"])


@pytest.mark.parametrize("bulk", [False, True])
def test_a_write_is_stored_with_the_id_of_its_request_and_the_trace_of_its_client(
    http: Http, guarded: Api, *, bulk: bool
) -> None:
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "v=1"}
    headers = trace | {"Authorization": f"Bearer {key_for(guarded)}"}

    if bulk:
        answer = http.post("/v1/writes", json={"writes": [{"op": "log-metric", **METRIC}]}, headers=headers)
    else:
        answer = http.post(LOG_METRIC, json=METRIC, headers=headers)

    claim = guarded.outbox.claim(RUN, lease=dt.timedelta(seconds=30))
    assert claim
    [job] = claim.jobs
    assert job.trace_context.request_id == answer.headers["X-Request-Id"]
    assert job.trace_context.trace
    assert dict(job.trace_context.trace.headers) == trace
    assert claim.job_id == (answer.json["jobs"][0]["job_id"] if bulk and answer.json else answer.headers.get("Job-Id"))


def test_an_id_that_can_not_be_told_is_replaced(http: Http, events: Events) -> None:
    answer = http.get("/healthz", headers={"X-Request-Id": 'a"b c'})

    assert line(events).request_id == answer.headers["X-Request-Id"] != 'a"b c'


def test_many_writes_are_told_by_their_number_and_a_refused_one_by_its_action(
    http: Http, guarded: Api, events: Events
) -> None:
    headers = {"Authorization": f"Bearer {key_for(guarded)}"}
    writes: list[dict[str, Any]] = [{"op": "log-metric", **METRIC}] * 3

    http.post("/v1/writes", json={"writes": writes}, headers=headers)
    taken = line(events)
    http.post(
        "/v1/writes", json={"writes": [*writes, {"op": "delete-tag", "run_id": RUN, "key": "t"}]}, headers=headers
    )
    refused = line(events)

    assert (taken.action, taken.decision, taken.writes) == ("LogBatch", "allowed", 3)
    assert (refused.action, refused.decision, refused.writes) == ("DeleteTag", "denied", 0)


@pytest.mark.parametrize(("auth", "logged"), [("none", False), ("keys", True)])
def test_requests_are_logged_where_it_is_known_whose_they_are(
    environ: dict[str, str], auth: str, *, logged: bool
) -> None:
    api = build_api(read_settings(environ | {"BRIDGE_AUTH": auth}))
    with logging_to(Output()) as output, client_of(api) as http:
        http.get("/healthz")

    assert [line["path"] for line in output.lines() if line["event"] == "request_completed"] == ["/healthz"] * logged


def test_no_event_has_a_field_for_what_was_in_a_request() -> None:
    fields = {field.name for event in Event.__subclasses__() for field in msgspec.structs.fields(event)}

    assert fields & {"body", "query", "headers", "authorization", "key", "token", "value"} == set()


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/2.0/mlflow/runs/log-metric"), ("GET", "/v1/backlog")])
def test_what_a_request_met_with_is_told_with_its_id(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    away = environ | {"BRIDGE_STORE_URL": "redis://127.0.0.1:1"}
    with client_of(build_api(read_settings(away))) as http:
        status = http.open(path, method=method, json=METRIC, headers={"X-Request-Id": "mine-7"}).status_code

    assert status == 503
    [told] = [record for record in caplog.records if record.message == "store_unavailable"]
    assert told.__dict__["fields"].items() >= {"request_id": "mine-7", "path": path}.items()
