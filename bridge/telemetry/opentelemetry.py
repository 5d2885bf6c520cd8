# SPDX-License-Identifier: Apache-2.0
"""The tracer over OpenTelemetry. Imported only if tracing is on, because its packages are the extra ``tracing``."""

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
from schemas.endpoints import find_endpoint
from schemas.trace_context import TraceParent

_MAX_LINKS = 128
_SHUTDOWN_TIMEOUT_S = 3.0
#: Further spans are dropped: an unreachable collector costs spans, never memory or time.
_MAX_QUEUED_SPANS = 2048
_MAX_EXPORT_BATCH = 512
_EXPORT_INTERVAL_MS = 1000
_EXPORT_TIMEOUT_MS = 10_000
#: The bridge's own routes that accept writes (`api.intake.bulk`, `api.intake.runs`).
_OWN_WRITE_PATHS = ("/v1/writes", "/v1/runs")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class OtelTracer:
    """A tracer over the OpenTelemetry SDK, see `bridge.upstream.tracing.Tracer`."""

    def __init__(self, exporter: SpanExporter, *, service: str) -> None:
        """Raises ``ValueError`` for an invalid ``OTEL_`` variable."""
        resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("mlflow-bridge")
        self._exporter = exporter
        self._is_started = False
        self._start_lock = threading.Lock()

    def request(self, method: str, path: str, parent: TraceParent | None) -> "_RequestSpan":
        """Start the span of a request."""
        self._ensure_started()
        span = self._tracer.start_span(
            _span_name(method, path),
            _parent_context(parent),
            kind=SpanKind.SERVER,
            attributes=_http_attributes(method, path),
        )
        return _RequestSpan(span, parent)

    def call(self, call: Call, context: CallContext) -> "_CallSpan":
        """Start the span of a call. It is a child of its jobs' trace context if they share one."""
        self._ensure_started()
        first, path = context.jobs[0], call.path.partition("?")[0]
        traces = dict.fromkeys(job.trace_context.trace for job in context.jobs if job.trace_context.trace)
        span = self._tracer.start_span(
            _span_name(call.method, path),
            _parent_context(context.trace),
            kind=SpanKind.CLIENT,
            links=[Link(_span_context(trace)) for trace in list(traces)[:_MAX_LINKS]],
            attributes={
                **_http_attributes(call.method, path),
                "mlflow_bridge.lane": first.lane,
                "mlflow_bridge.op": first.write.op.value,
                "mlflow_bridge.writes": len(context.jobs),
                "mlflow_bridge.attempt": context.attempt,
                "mlflow_bridge.request_id": context.request_id or "",
            },
        )
        return _CallSpan(span, context.trace)

    def close(self) -> None:
        """Export the recorded spans, within a few seconds."""
        # An unreachable collector must not block the exit. No `BackgroundThread`, because it runs once.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_SHUTDOWN_TIMEOUT_S)

    def _ensure_started(self) -> None:
        # Started on first use, because its thread does not survive a fork.
        if self._is_started:
            return
        with self._start_lock:
            if not self._is_started:
                self._provider.add_span_processor(
                    BatchSpanProcessor(
                        self._exporter,
                        max_queue_size=_MAX_QUEUED_SPANS,
                        max_export_batch_size=_MAX_EXPORT_BATCH,
                        schedule_delay_millis=_EXPORT_INTERVAL_MS,
                        export_timeout_millis=_EXPORT_TIMEOUT_MS,
                    )
                )
                self._is_started = True


def otlp_tracer(url: str, *, service: str, network: Network = DIRECT) -> OtelTracer:
    """Return a tracer that exports to this collector with OTLP over HTTP. ``OTEL_`` variables configure the rest."""
    endpoint = f"{url.rstrip('/')}/v1/traces"
    return OtelTracer(OTLPSpanExporter(endpoint=endpoint, session=session_to(endpoint, network)), service=service)


@dataclass(frozen=True, slots=True)
class _OtelSpan:
    """A span of the SDK, and the trace context that it continues."""

    span: Span
    parent: TraceParent | None

    @property
    def trace(self) -> TraceParent | None:
        """The trace context of this span; the parent's if OpenTelemetry records nothing."""
        context = self.span.get_span_context()
        if not context.is_valid:
            return self.parent
        parts = (context.trace_id.to_bytes(16), context.span_id.to_bytes(8), bytes((context.trace_flags,)))
        return TraceParent(b"".join(parts), context.trace_state.to_header())

    def _end(self, status: int | None, *, failed: bool) -> None:
        if status:
            self.span.set_attribute("http.response.status_code", status)
        if failed:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class _RequestSpan(_OtelSpan):
    def end(self, completed: RequestCompleted) -> None:
        """End the span with the response. Spans of own routes that queue no write are dropped."""
        if completed.route == "api":
            return
        self.span.set_attribute("mlflow_bridge.route", completed.route)
        self.span.set_attribute("mlflow_bridge.request_id", completed.request_id)
        if completed.writes:
            self.span.set_attribute("mlflow_bridge.writes", completed.writes)
        for name, value in (("lane", completed.lane), ("job_id", completed.job_id)):
            if value:
                self.span.set_attribute(f"mlflow_bridge.{name}", value)
        self._end(completed.status, failed=completed.status >= 500 or not completed.complete)


class _CallSpan(_OtelSpan):
    def end(self, completed: UpstreamCallCompleted) -> None:
        """End the span with the outcome."""
        self.span.set_attribute("mlflow_bridge.outcome", completed.outcome)
        self._end(completed.status, failed=completed.outcome != "delivered")


def _span_name(method: str, path: str) -> str:
    route = _route(method, path)
    return f"{_method(method)} {route}" if route else _method(method)


def _http_attributes(method: str, path: str) -> dict[str, str]:
    """Return the attributes of a request: never its path, which may hold names that clients have chosen."""
    route = _route(method, path)
    return {"http.request.method": _method(method)} | ({"http.route": route} if route else {})


def _method(method: str) -> str:
    return method if method in _METHODS else "_OTHER"


def _route(method: str, path: str) -> str | None:
    """Return the path template of a known call, such as ``/api/2.0/mlflow/runs/create``; None for any other."""
    if path in _OWN_WRITE_PATHS:
        return path
    match = find_endpoint(method, path)
    return match.endpoint.path if match else None


def _parent_context(parent: TraceParent | None) -> Context:
    """Return a context with this parent, or with none: never the current context of the thread."""
    return otel.set_span_in_context(
        NonRecordingSpan(_span_context(parent) if parent else otel.INVALID_SPAN_CONTEXT), Context()
    )


def _span_context(trace: TraceParent) -> SpanContext:
    # The ids and flags of `traceparent`, packed: 16 bytes, 8 bytes, 1 byte.
    parent = trace.parent
    return SpanContext(
        trace_id=int.from_bytes(parent[:16]),
        span_id=int.from_bytes(parent[16:24]),
        is_remote=True,
        trace_flags=TraceFlags(parent[24]),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
