# SPDX-License-Identifier: Apache-2.0
"""Sends calls to upstream through the gate that all workers share, and tells the gate what came of each."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.errors import StoreUnavailable
from bridge.events import Observer, UpstreamCallCompleted
from bridge.process.clock import Clock
from bridge.upstream import Call, CallContext, Delivered, Headers, Outcome, Upstream
from bridge.upstream.flow_control import FlowControl, Rejected
from bridge.upstream.tracing import CallSpan, Tracer


@dataclass(frozen=True, slots=True)
class Stopping:
    """The bridge is stopping; the call was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSender:
    """The way from a worker to upstream."""

    upstream: Upstream
    flow_control: FlowControl
    observe: Observer
    clock: Clock
    #: Once set, no further call is begun.
    stopping: threading.Event
    #: Calls are sent in the names of clients, so each may carry the writes of one only.
    in_clients_names: bool = False
    tracer: Tracer | None = None

    def send(
        self, calls: Sequence[Call], context: CallContext, *, renew: Callable[[], object]
    ) -> Outcome | Rejected | Stopping:
        """Send calls until one is not delivered, and return what the last one came to.

        ``carried`` is what all of them together deliver, nothing where the bridge asks for itself. ``renew`` is called
        between two calls, for a lease covers only one.
        """
        result = self._send_one(calls[0], context)
        for call in calls[1:]:
            if not isinstance(result, Delivered):
                break
            renew()
            result = self._send_one(call, context)
        return result

    def _send_one(self, call: Call, context: CallContext) -> Outcome | Rejected | Stopping:
        passage = self.flow_control.enter(denied=context.denied)
        if isinstance(passage, Rejected):
            return passage
        if self.stopping.wait(passage.wait.total_seconds()):
            return Stopping()
        if self.in_clients_names and context.jobs:
            call = replace(call, client=context.client)
        span = self.tracer.call(call, context) if self.tracer and context.jobs else None
        began = self.clock.monotonic()
        outcome = self.upstream.send(call, _followed_by(context, span))
        duration = self.clock.monotonic() - began
        status = getattr(outcome, "status", None)
        told = UpstreamCallCompleted(
            lane=context.lane,
            request_id=context.request_id,
            attempt=context.attempt,
            outcome=type(outcome).__name__.lower(),
            status=status,
            duration=duration,
        )
        self.observe(told)
        if span:
            span.end(told)
        with suppress(StoreUnavailable):
            self.flow_control.report(outcome, of_read=call.reads, was_denied=context.denied)
        return outcome


def _followed_by(context: CallContext, span: CallSpan | None) -> Headers:
    """Return the headers by which upstream's logs and traces can be laid beside ours."""
    request_id, trace = context.request_id, span.trace if span else context.trace
    return (*((("X-Request-Id", request_id),) if request_id else ()), *(trace.headers if trace else ()))
