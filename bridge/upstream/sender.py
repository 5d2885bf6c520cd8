# SPDX-License-Identifier: Apache-2.0
"""Sends calls to upstream through the shared flow control, and records each outcome there, in logs and traces."""

import datetime as dt
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.errors import StoreUnavailable
from bridge.events import Observer, UpstreamCallCompleted
from bridge.process.clock import Clock
from bridge.upstream import Call, CallContext, Delivered, Headers, Outcome, Refused, Upstream
from bridge.upstream.flow_control import FlowControl, Withheld
from bridge.upstream.tracing import CallSpan, Tracer

#: The prefix that MLflow's calls have in common.
_API_PREFIX = re.compile(r"^/api/\d\.0/mlflow/")


@dataclass(frozen=True, slots=True)
class Stopping:
    """The process is shutting down; the call was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSender:
    """Sends calls one after the other. One instance serves all threads of a worker."""

    upstream: Upstream
    flow_control: FlowControl
    observe: Observer
    clock: Clock
    #: Once set, no further call is sent.
    stopping: threading.Event
    #: Each call is signed with its client's session of the role, so it carries the writes of one client.
    uses_client_sessions: bool = False
    tracer: Tracer | None = None

    def send(
        self, calls: Sequence[Call], context: CallContext, *, renew: Callable[[], object]
    ) -> Outcome | Withheld | Stopping:
        """Send calls until one is not delivered, and return the last outcome.

        ``context`` names the jobs that all calls together deliver. ``renew`` renews the lease between two calls,
        because a lease covers only one.
        """
        result = self._send_one(calls[0], context)
        for call in calls[1:]:
            if not isinstance(result, Delivered):
                break
            renew()
            result = self._send_one(call, context)
        return result

    def _send_one(self, call: Call, context: CallContext) -> Outcome | Withheld | Stopping:
        decision = self.flow_control.acquire(denied=context.denied, delivers=bool(context.jobs))
        if isinstance(decision, Withheld):
            return decision
        if self.stopping.wait(decision.wait.total_seconds()):
            return Stopping()
        if self.uses_client_sessions and context.jobs:
            call = replace(call, client=context.client)
        span = self.tracer.call(call, context) if self.tracer and context.jobs else None
        started_at = self.clock.monotonic()
        outcome = self.upstream.send(call, _trace_headers(context, span))
        completed = _completed(call, context, outcome, self.clock.monotonic() - started_at)
        self.observe(completed)
        if span:
            span.end(completed)
        with suppress(StoreUnavailable):
            self.flow_control.record(outcome, of_read=call.reads, was_denied=context.denied)
        return outcome


def _completed(call: Call, context: CallContext, outcome: Outcome, duration: dt.timedelta) -> UpstreamCallCompleted:
    return UpstreamCallCompleted(
        endpoint=f"{call.method} {_API_PREFIX.sub('', call.path.partition('?')[0])}",
        lane=context.lane,
        request_id=context.request_id,
        attempt=context.attempt,
        outcome=type(outcome).__name__.lower(),
        status=getattr(outcome, "status", None),
        duration=duration,
        reads=call.reads,
        error_code=getattr(outcome, "error_code", None) or None,
        upstream_request_id=getattr(outcome, "request_id", None),
        unlogged_reason=_failure_reason(outcome),
    )


def _failure_reason(outcome: Outcome) -> str:
    if isinstance(outcome, Delivered):
        return ""
    return outcome.message if isinstance(outcome, Refused) else outcome.reason


def _trace_headers(context: CallContext, span: CallSpan | None) -> Headers:
    """Return the headers that correlate upstream's logs and traces with those of the bridge."""
    trace = span.trace if span else context.trace
    headers = trace.headers if trace else ()
    return (("X-Request-Id", context.request_id), *headers) if context.request_id else headers
