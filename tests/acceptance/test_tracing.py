# SPDX-License-Identifier: Apache-2.0
"""One trace from the client through the queue to upstream, over real processes, a real store and real replay_cache."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, Recorded
from tests.signature_front import Call
from tests.system import LOG_BATCH, System, system
from tests.upstream_faults import Answer

#: Minutes of deliveries.
pytestmark = pytest.mark.full


LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
SEARCH = "/api/2.0/mlflow/experiments/search"
API, WORKER = "mlflow-bridge-api", "mlflow-bridge-worker"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(mlflow_url: str, short_dir: Path, collector: Collector) -> Iterator[System]:
    settings = {"BRIDGE_TRACING": collector.url, "BRIDGE_LOG_LEVEL": "debug"}
    with system(mlflow_url, short_dir / "traced", workers=1, settings=settings) as running:
        yield running


def place(span: Recorded) -> str:
    return f"00-{span.trace_id}-{span.span_id}-01"


def span_id(call: Call) -> str:
    return call.headers["traceparent"].split("-")[2]


def calls(bridge: System, path: str, run_id: str, count: int = 1) -> list[Call]:
    bridge.front.wait_for_calls(count, matching=lambda _, sent: sent == path)
    return [call for call in bridge.front.calls if call.path == path and run_id.encode() in call.body]


def metric(run_id: str, step: int = 0) -> dict[str, object]:
    return {"run_id": run_id, "key": "m", "value": 1, "step": step, "timestamp": 1}


def test_a_write_is_followed_from_its_client_to_upstream(traced: System, collector: Collector) -> None:
    run_id = traced.create_run()
    answer = traced.log("log-metric", metric(run_id), traceparent=PARENT, tracestate="v=1", **{"X-Request-Id": "n-1"})
    assert traced.job(answer.headers["Job-Id"])["status"] == "delivered"

    [call] = calls(traced, LOG_METRIC, run_id)
    delivery = collector.wait_for_span(span_id(call))
    accept = collector.wait_for_span(delivery.parent)

    assert (accept.service, delivery.service) == (API, WORKER)
    assert (accept.trace_id, accept.parent) == (TRACE_ID, "00f067aa0ba902b7")
    assert delivery.links == [(TRACE_ID, accept.span_id)]
    assert (delivery.trace_id, delivery.parent) == (TRACE_ID, accept.span_id)
    assert (call.headers["traceparent"], call.headers["tracestate"]) == (place(delivery), "v=1")
    assert (call.status, call.headers["x-request-id"]) == (200, "n-1")
    assert accept.attributes["mlflow_bridge.job_id"] == answer.headers["Job-Id"]
    for span in (accept, delivery):
        assert span.attributes["mlflow_bridge.request_id"] == "n-1"
        assert span.attributes["mlflow_bridge.lane"] == run_id
        assert span.attributes["http.response.status_code"] == 200


def test_at_level_debug_each_call_to_upstream_is_told_and_all_that_is_told_is_json(traced: System) -> None:
    run_id = traced.create_run()
    traced.job(traced.log("log-metric", metric(run_id), **{"X-Request-Id": "n-2"}).headers["Job-Id"])

    logs = [server.child.log.read_text() for server in (traced.api, *traced.workers)]
    lines = [json.loads(line) for log in logs for line in log.splitlines()]
    [told] = [line for line in lines if line["event"] == "upstream_call_completed" and line["lane"] == run_id]

    assert (told["level"], told["status"], told["request_id"]) == ("debug", 200, "n-2")
    assert {line["logger"].split(".")[0] for line in lines if line["level"] == "debug"} == {"bridge"}


def test_a_call_that_carries_many_writes_is_linked_to_each_of_their_requests(
    traced: System, collector: Collector
) -> None:
    run_id = traced.create_run()
    # The first call is held up, whatever it carries, so that the other writes gather behind it.
    traced.front.script(
        Answer(503, {"Retry-After": "1"}, b""), matching=lambda _, path: path in (LOG_METRIC, LOG_BATCH)
    )
    answers = [traced.log("log-metric", metric(run_id, step), traceparent=PARENT) for step in range(3)]
    for answer in answers:
        assert traced.job(answer.headers["Job-Id"])["status"] == "delivered"

    [*_, call] = calls(traced, LOG_BATCH, run_id)
    delivery = collector.wait_for_span(span_id(call))
    accepts = [collector.wait_for_span(linked) for _, linked in delivery.links]
    assert {(span.service, span.trace_id, span.attributes["mlflow_bridge.lane"]) for span in accepts} == {
        (API, TRACE_ID, run_id)
    }
    assert len(accepts) == delivery.attributes["mlflow_bridge.writes"] > 1
    assert delivery.trace_id not in (TRACE_ID, "")
    assert call.status == 200


def test_a_proxied_request_goes_on_in_its_clients_trace(traced: System, collector: Collector) -> None:
    url = f"{traced.url}{SEARCH}?max_results=1&filter=s3cret"
    answer = traced.http.get(url, headers={"traceparent": PARENT, "tracestate": "v=1"}, timeout=30)

    [span] = collector.wait_for(API, SEARCH)
    [call] = [call for call in traced.front.calls if "s3cret" in call.query]
    assert (span.trace_id, span.parent, span.attributes["mlflow_bridge.route"]) == (
        TRACE_ID,
        "00f067aa0ba902b7",
        "proxied",
    )
    assert (call.headers["traceparent"], call.headers["tracestate"]) == (place(span), "v=1")
    assert call.headers["x-request-id"] == answer.headers["X-Request-Id"]
    assert "s3cret" not in str(collector.spans)


def test_what_is_recorded_last_is_sent_before_a_process_ends(
    mlflow_url: str, short_dir: Path, collector: Collector
) -> None:
    settings = {"BRIDGE_TRACING": collector.url, "BRIDGE_SHUTDOWN_DELAY": "100ms"}
    with system(mlflow_url, short_dir / "ended", workers=1, settings=settings) as bridge:
        run_id = bridge.create_run()
        answer = bridge.log("set-tag", {"run_id": run_id, "key": "t", "value": "v"})
        assert bridge.job(answer.headers["Job-Id"])["status"] == "delivered"
        statuses = [bridge.api.stop(), *(worker.stop() for worker in bridge.workers)]

        path = "/api/2.0/mlflow/runs/set-tag"
        names = {span.service for span in collector.spans if span.attributes.get("http.route") == path}
    assert statuses == [0, 0]
    assert names == {API, WORKER}
