# SPDX-License-Identifier: Apache-2.0
"""The port to whoever records traces. Where nobody does there is no tracer, and nothing is spent on one."""

from typing import Protocol

from bridge.events import RequestCompleted, UpstreamCallCompleted
from bridge.upstream import Call, CallContext
from schemas.trace_context import TraceParent


class RequestSpan(Protocol):
    """A client's request, while it is answered."""

    @property
    def trace(self) -> TraceParent | None:
        """Its own place in the trace, for what follows from it."""
        ...

    def end(self, told: RequestCompleted) -> None:
        """Note what came of it; never raise."""
        ...


class CallSpan(Protocol):
    """A call to upstream, while it is under way."""

    @property
    def trace(self) -> TraceParent | None:
        """Its own place in the trace, for what follows from it."""
        ...

    def end(self, told: UpstreamCallCompleted) -> None:
        """Note what came of it; never raise."""
        ...


class Tracer(Protocol):
    """Records what belongs together, across processes. It never sees a body, a key or a query."""

    def request(self, method: str, path: str, parent: TraceParent | None) -> RequestSpan:
        """Begin to record a request; ``parent`` is where its client's trace has come to."""
        ...

    def call(self, call: Call, context: CallContext) -> CallSpan:
        """Begin to record a call that delivers jobs; it is linked to the requests that brought these."""
        ...

    def close(self) -> None:
        """Send what is recorded, within a few seconds, and record no more."""
        ...
