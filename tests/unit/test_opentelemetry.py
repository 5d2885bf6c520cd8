# SPDX-License-Identifier: Apache-2.0
"""Spans of deliveries: where they stand, what they are linked to, and what they never hold."""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from bridge.delivery.deliverer import Deliverer
from bridge.telemetry.opentelemetry import OtelTracer, otlp_tracer
from bridge.upstream import Unavailable
from schemas.job import JobStatus
from schemas.trace_context import TraceContext, TraceParent, read_trace, trace_context_of
from tests.factories import RUN
from tests.unit.lanes import Lane
from tests.unit.test_followed import FIRST, OTHER, SECOND, TRACE, lane_of


def delivered(lane: Lane) -> Sequence[ReadableSpan]:
    """The spans of one turn of this lane."""
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(exporter, service="test")
    sender = replace(lane.delivery.sender, tracer=tracer)
    delivery: Deliverer = replace(lane.delivery, sender=sender)
    delivery.deliver(RUN)
    tracer.close()
    return exporter.get_finished_spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_of(trace: TraceParent | None) -> bytes:
    assert trace
    return trace.parent


def place(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"


def test_a_delivery_of_one_place_in_a_trace_goes_on_from_there_and_is_linked_to_it() -> None:
    lane = lane_of(FIRST, SECOND)

    [span] = delivered(lane)

    assert span.kind is SpanKind.CLIENT
    assert span.name == "POST /api/2.0/mlflow/runs/log-batch"
    assert span.parent
    assert span.parent.span_id.to_bytes(8) == parent_of(TRACE)[16:24]
    assert [link.context.span_id for link in span.links] == [span.parent.span_id]
    assert lane.upstream.followed[0]["traceparent"] == place(span)
    assert lane.upstream.followed[0]["tracestate"] == "vendor=1"
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/api/2.0/mlflow/runs/log-batch",
        "http.response.status_code": 200,
        "mlflow_bridge.lane": RUN,
        "mlflow_bridge.op": "log-metric",
        "mlflow_bridge.writes": 2,
        "mlflow_bridge.attempt": 1,
        "mlflow_bridge.request_id": "first",
        "mlflow_bridge.outcome": "delivered",
    }


def test_a_delivery_of_several_traces_has_its_own_and_is_linked_to_each() -> None:
    lane = lane_of(FIRST, trace_context_of("third", OTHER))

    [span] = delivered(lane)

    assert span.parent is None
    assert [link.context.span_id.to_bytes(8) for link in span.links] == [
        parent_of(TRACE)[16:24],
        parent_of(OTHER)[16:24],
    ]
    assert lane.upstream.followed[0]["traceparent"] == place(span)


def test_links_are_bounded() -> None:
    traces = [read_trace(f"00-{7:032x}-{number:016x}-01") for number in range(1, 201)]

    [span] = delivered(lane_of(*(trace_context_of("r", trace) for trace in traces)))

    assert (attributes(span)["mlflow_bridge.writes"], len(span.links)) == (200, 128)


def test_what_the_client_does_not_have_recorded_is_not_recorded_but_told_on() -> None:
    lane = lane_of(trace_context_of("r", read_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")))

    assert delivered(lane) == ()
    assert lane.upstream.followed[0]["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert lane.upstream.followed[0]["traceparent"].endswith("-00")


def test_each_attempt_has_its_own_span_and_says_that_it_failed() -> None:
    lane = lane_of(TraceContext())
    lane.upstream.answer = lambda _: Unavailable(reason="s3cret", status=503)

    [span] = delivered(lane)

    assert not span.status.is_ok
    assert (attributes(span)["mlflow_bridge.outcome"], attributes(span)["http.response.status_code"]) == (
        "unavailable",
        503,
    )
    assert "s3cret" not in span.to_json()


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "away"])
def test_a_collector_that_does_not_answer_costs_traces_and_neither_deliveries_nor_the_end(
    monkeypatch: pytest.MonkeyPatch, *, listens: bool
) -> None:
    monkeypatch.setattr("bridge.telemetry.opentelemetry._SHUTDOWN_TIMEOUT_S", 0.2)
    # How long the exporter goes on by itself after that, in seconds.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    before = set(threading.enumerate())
    lane = lane_of(FIRST)
    with socket.create_server(("127.0.0.1", 0)) as collector:
        port = collector.getsockname()[1]
        if not listens:
            collector.close()
        tracer = otlp_tracer(f"http://127.0.0.1:{port}", service="test")
        replace(lane.delivery, sender=replace(lane.delivery.sender, tracer=tracer)).deliver(RUN)
        began = time.monotonic()
        tracer.close()
        seconds = time.monotonic() - began
        # Nothing of it may go on beside other tests.
        for thread in set(threading.enumerate()) - before:
            thread.join(20)

    assert lane.statuses() == [JobStatus.DELIVERED]
    assert seconds < 2


def test_a_variable_of_opentelemetry_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "many")

    with pytest.raises(ValueError, match="LINK_COUNT"):
        OtelTracer(InMemorySpanExporter(), service="test")


def test_where_opentelemetry_is_told_to_do_nothing_a_clients_trace_goes_on_as_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    lane = lane_of(FIRST)

    assert delivered(lane) == ()
    assert TRACE
    assert dict(TRACE.headers).items() <= lane.upstream.followed[0].items()
