# SPDX-License-Identifier: Apache-2.0
"""Sends calls to upstream through the gate that all workers share, and tells the gate what came of each."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.clock import Clock
from bridge.errors import StoreUnavailable
from bridge.events import CallAnswered, Observer
from bridge.gate import Gate, Shut
from bridge.upstream import Call, Delivered, Outcome, Upstream


@dataclass(frozen=True, slots=True)
class Stopping:
    """The bridge is stopping; the call was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The way from a worker to upstream."""

    upstream: Upstream
    gate: Gate
    observe: Observer
    clock: Clock
    #: Once set, no further call is begun.
    stopping: threading.Event
    #: Calls are sent in the names of clients, so each may carry the writes of one only.
    in_clients_names: bool = False

    def send(self, calls: Sequence[Call], *, client: str, renew: Callable[[], object]) -> Outcome | Shut | Stopping:
        """Send calls for a client until one is not delivered, and return what the last one came to.

        ``renew`` is called between two calls, for a lease covers only one.
        """
        result = self._send_one(calls[0], client)
        for call in calls[1:]:
            if not isinstance(result, Delivered):
                break
            renew()
            result = self._send_one(call, client)
        return result

    def _send_one(self, call: Call, client: str) -> Outcome | Shut | Stopping:
        passage = self.gate.enter()
        if isinstance(passage, Shut):
            return passage
        if self.stopping.wait(passage.wait.total_seconds()):
            return Stopping()
        began = self.clock.monotonic()
        outcome = self.upstream.send(replace(call, client=client) if self.in_clients_names else call)
        took = self.clock.monotonic() - began
        status = getattr(outcome, "status", None)
        self.observe(CallAnswered(outcome=type(outcome).__name__.lower(), status=status, took=took))
        with suppress(StoreUnavailable):
            self.gate.report(outcome, of_read=call.reads)
        return outcome
