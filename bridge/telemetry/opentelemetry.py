# SPDX-License-Identifier: Apache-2.0
"""Records traces with OpenTelemetry. Imported only where tracing is on: its packages are the extra ``tracing``."""

import threading
from dataclasses import dataclass

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from bridge.config.network import DIRECT, Network
from bridge.events import RequestCompleted, UpstreamCallCompleted
from bridge.upstream import Call, CallContext
from bridge.upstream.connections import session_to
from schemas.endpoints import find
from schemas.trace_context import TraceParent

#: Of the requests that a call carries, so many are linked.
_MOST_LINKS = 128
_CLOSES_WITHIN = 3.0
#: Beyond the first, what is recorded is dropped: a collector that is away costs traces, never memory or time.
_MOST_WAITING, _MOST_TOGETHER = 2048, 512
_SENT_EVERY_MS, _SENT_WITHIN_MS = 1000, 10_000
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class OtelTracer:
    """See `bridge.upstream.tracing.Tracer` for every promise."""

    def __init__(self, exporter: SpanExporter, *, service: str) -> None:
        """Raises ``ValueError`` for a variable of OpenTelemetry's own that can't be what it says."""
        resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("mlflow-bridge")
        self._exporter = exporter
        self._is_started = False
        self._starting = threading.Lock()

    def request(self, method: str, path: str, parent: TraceParent | None) -> "_RequestSpan":
        """Begin to record a request."""
        self._start()
        span = self._tracer.start_span(
            _name(method, path), _context(parent), kind=SpanKind.SERVER, attributes=_http(method, path)
        )
        return _RequestSpan(span, parent)

    def call(self, call: Call, context: CallContext) -> "_CallSpan":
        """Begin to record a call. Where all that it carries belongs to one place in a trace, it goes on from there."""
        self._start()
        first, path = context.jobs[0], call.path.partition("?")[0]
        traces = dict.fromkeys(job.trace_context.trace for job in context.jobs if job.trace_context.trace)
        span = self._tracer.start_span(
            _name(call.method, path),
            _context(context.trace),
            kind=SpanKind.CLIENT,
            links=[Link(_span_context(trace)) for trace in list(traces)[:_MOST_LINKS]],
            attributes={
                **_http(call.method, path),
                "mlflow_bridge.lane": first.lane,
                "mlflow_bridge.op": first.write.op.value,
                "mlflow_bridge.writes": len(context.jobs),
                "mlflow_bridge.attempt": context.attempt,
                "mlflow_bridge.request_id": context.request_id or "",
            },
        )
        return _CallSpan(span, context.trace)

    def close(self) -> None:
        """Send what is recorded, within a few seconds."""
        # A collector that is away must not keep a process from ending. No `BackgroundThread`: it works once.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSES_WITHIN)

    def _start(self) -> None:
        # Started on first use, so that its thread belongs to the process that uses it.
        if self._is_started:
            return
        with self._starting:
            if not self._is_started:
                self._provider.add_span_processor(
                    BatchSpanProcessor(
                        self._exporter,
                        max_queue_size=_MOST_WAITING,
                        max_export_batch_size=_MOST_TOGETHER,
                        schedule_delay_millis=_SENT_EVERY_MS,
                        export_timeout_millis=_SENT_WITHIN_MS,
                    )
                )
                self._is_started = True


def otlp_tracer(url: str, *, service: str, network: Network = DIRECT) -> OtelTracer:
    """Return a tracer that sends to this collector, over HTTP. OpenTelemetry's own variables say all the rest."""
    endpoint = f"{url.rstrip('/')}/v1/traces"
    return OtelTracer(OTLPSpanExporter(endpoint=endpoint, session=session_to(endpoint, network)), service=service)


@dataclass(frozen=True, slots=True)
class _Recorded:
    span: Span
    parent: TraceParent | None

    @property
    def trace(self) -> TraceParent | None:
        """Its place in the trace; its parent's where OpenTelemetry is told to record nothing."""
        context = self.span.get_span_context()
        if not context.is_valid:
            return self.parent
        place = (context.trace_id.to_bytes(16), context.span_id.to_bytes(8), bytes((context.trace_flags,)))
        return TraceParent(b"".join(place), context.trace_state.to_header())

    def _end(self, status: int | None, *, failed: bool) -> None:
        if status:
            self.span.set_attribute("http.response.status_code", status)
        if failed:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class _RequestSpan(_Recorded):
    def end(self, told: RequestCompleted) -> None:
        """Note what came of it. What asks the bridge about itself is left out: there is nothing that it leads to."""
        if told.route == "api":
            return
        self.span.set_attribute("mlflow_bridge.route", told.route)
        self.span.set_attribute("mlflow_bridge.request_id", told.request_id)
        if told.writes:
            self.span.set_attribute("mlflow_bridge.writes", told.writes)
        for name, value in (("lane", told.lane), ("job_id", told.job_id)):
            if value:
                self.span.set_attribute(f"mlflow_bridge.{name}", value)
        self._end(told.status, failed=told.status >= 500 or not told.complete)


class _CallSpan(_Recorded):
    def end(self, told: UpstreamCallCompleted) -> None:
        """Note what came of it."""
        self.span.set_attribute("mlflow_bridge.outcome", told.outcome)
        self._end(told.status, failed=told.outcome != "delivered")


def _name(method: str, path: str) -> str:
    route = _route(method, path)
    return f"{_method(method)} {route}" if route else _method(method)


def _http(method: str, path: str) -> dict[str, str]:
    """Return what kind of request it is; never its path, which may hold names that clients have chosen."""
    route = _route(method, path)
    return {"http.request.method": _method(method)} | ({"http.route": route} if route else {})


def _method(method: str) -> str:
    return method if method in _METHODS else "_OTHER"


def _route(method: str, path: str) -> str | None:
    if path in _OWN_WRITES:
        return path
    found = find(method, path)
    return found.endpoint.path if found else None


#: The bridge's own calls that bring writes (`api.intake.bulk`, `api.intake.runs`).
_OWN_WRITES = ("/v1/writes", "/v1/runs")


def _context(parent: TraceParent | None) -> Context:
    """Return the context in which a span has this parent, or none: never what happens to be about in the thread."""
    return otel.set_span_in_context(
        NonRecordingSpan(_span_context(parent) if parent else otel.INVALID_SPAN_CONTEXT), Context()
    )


def _span_context(trace: TraceParent) -> SpanContext:
    parent = trace.parent
    return SpanContext(
        trace_id=int.from_bytes(parent[:16]),
        span_id=int.from_bytes(parent[16:24]),
        is_remote=True,
        trace_flags=TraceFlags(parent[24]),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
