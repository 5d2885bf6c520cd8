# SPDX-License-Identifier: Apache-2.0
"""The port for distributed tracing: spans of client requests and of upstream calls (W3C Trace Context)."""

from typing import Protocol

from bridge.events import RequestCompleted, UpstreamCallCompleted
from bridge.upstream import Call, CallContext
from schemas.trace_context import TraceParent


class RequestSpan(Protocol):
    """The span of a client's request."""

    @property
    def trace(self) -> TraceParent | None:
        """The trace context of this span, for its children."""
        ...

    def end(self, completed: RequestCompleted) -> None:
        """End the span with the response; never raises."""
        ...


class CallSpan(Protocol):
    """The span of a call to upstream."""

    @property
    def trace(self) -> TraceParent | None:
        """The trace context of this span, for its children."""
        ...

    def end(self, completed: UpstreamCallCompleted) -> None:
        """End the span with the outcome; never raises."""
        ...


class Tracer(Protocol):
    """Starts spans. Spans never hold a body, a key or a query."""

    def request(self, method: str, path: str, parent: TraceParent | None) -> RequestSpan:
        """Start the span of a request; ``parent`` is the client's trace context."""
        ...

    def call(self, call: Call, context: CallContext) -> CallSpan:
        """Start the span of a call that delivers jobs, with links to the requests that brought them."""
        ...

    def close(self) -> None:
        """Export the recorded spans, within a few seconds, and record no more."""
        ...
