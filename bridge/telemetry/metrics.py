# SPDX-License-Identifier: Apache-2.0
"""Counts what happens: each process for itself, and every second it adds what it has to the totals of all.

What a process has not added yet when it is killed is lost: a second's worth of figures, and never a write.
"""

import os
import socket
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from bridge import events
from bridge.errors import StoreUnavailable
from bridge.events import Event, Observer
from bridge.process.background import BackgroundThread, Census, census
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.metric_catalogue import Metric

#: What is counted: the metric's name, the values of its labels, and of a histogram the part.
Count = tuple[str, ...]


class CounterStore(Protocol):
    """Each method raises ``StoreUnavailable``."""

    def add(self, counts: Mapping[Count, float]) -> None:
        """Add to the totals."""
        ...

    def read(self) -> dict[Count, float]:
        """Return all totals."""
        ...

    def report(self, process: str, threads: Census) -> None:
        """Keep the background threads of one process, in place of its last report. A report counts for ten seconds."""
        ...

    def threads(self) -> Census:
        """Return the background threads of all processes that have reported within ten seconds."""
        ...


_PERIOD = 1.0
#: How often, in seconds, a process reports the threads that it has, unless they change.
_REPORT_PERIOD = 3.0


class Meter:
    """Observes events (see `bridge.events.Observer`)."""

    def __init__(self, counters: CounterStore, *, observe: Observer | None = None) -> None:
        """``observe`` receives what goes wrong with the meter's own thread. It may lead back to this meter."""
        self._counters = counters
        self._counts: defaultdict[Count, float] = defaultdict(float)
        self._counting = threading.Lock()
        self._adding = threading.Lock()
        self._thread = BackgroundThread("meter", self._tick, every=_PERIOD, observe=observe)
        self._reports_threads = False
        self._reported: Census = {}
        self._reported_at = float("-inf")

    def __call__(self, event: Event) -> None:
        """Count what the event says."""
        count = _COUNTED.get(type(event))
        if count is None:
            return
        with self._counting:
            count(self, event)
        self._thread.start()

    def report_threads(self) -> None:
        """Report the background threads of this process from now on, so that any api shows which of them live.

        One meter of a process does so: the report is about all threads of the process.
        """
        self._reports_threads = True
        self._thread.start()

    def count_all(self, events: Sequence[Event]) -> None:
        """Count what these say."""
        for event in events:
            self(event)

    def add(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Count so many more. To be called while an event is counted."""
        self._counts[metric.name, *labels] += by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Count a value in its bucket. To be called while an event is counted."""
        self._counts[metric.name, *labels, f"{bisect_left(metric.bounds, value)}"] += 1
        self._counts[metric.name, *labels, "sum"] += value

    def flush(self) -> None:
        """Add what was counted to the totals; what can't be added now is kept for the next time."""
        # One at a time: whoever flushes at the end must not go before what is on its way has arrived.
        with self._adding:
            with self._counting:
                counts, self._counts = self._counts, defaultdict(float)
            if not counts:
                return
            try:
                self._counters.add(counts)
            except StoreUnavailable:
                self._keep(counts)
            except BaseException:
                self._keep(counts)
                raise

    def _keep(self, counts: Mapping[Count, float]) -> None:
        with self._counting:
            for count, number in counts.items():
                self._counts[count] += number

    def _tick(self) -> None:
        self.flush()
        if self._reports_threads:
            self._report()

    def _report(self) -> None:
        threads, now = census(), time.monotonic()
        if threads == self._reported and now - self._reported_at < _REPORT_PERIOD:
            return
        with suppress(StoreUnavailable):
            # Asked for each time: a forked process is another one.
            self._counters.report(f"{socket.gethostname()}:{os.getpid()}", threads)
            self._reported, self._reported_at = threads, now


def _request(meter: Meter, event: events.RequestCompleted) -> None:
    meter.add(catalogue.REQUESTS, event.route, str(event.status))
    meter.observe(catalogue.REQUEST_DURATION_SECONDS, event.duration.total_seconds(), event.route)
    if event.decision != "allowed":
        meter.add(catalogue.REQUESTS_REJECTED, event.decision)
    if event.replayed:
        meter.add(catalogue.WRITES_REPLAYED)
    elif event.writes:
        meter.add(catalogue.WRITES_ACCEPTED, by=event.writes)
    if event.route == "queued" and event.status >= 400:
        meter.add(catalogue.WRITES_REFUSED, str(event.status))


def _delivered(meter: Meter, event: events.WritesDelivered) -> None:
    meter.add(catalogue.WRITES_DELIVERED, by=event.writes)
    meter.observe(catalogue.UPSTREAM_BATCH_SIZE, event.writes)
    meter.observe(catalogue.DELIVERY_LAG_SECONDS, event.lag.total_seconds())
    meter.observe(catalogue.DELIVERY_ATTEMPTS, event.attempt)


def _call(meter: Meter, event: events.UpstreamCallCompleted) -> None:
    meter.add(catalogue.UPSTREAM_CALLS, event.outcome, str(event.status or ""))
    meter.observe(catalogue.UPSTREAM_CALL_DURATION_SECONDS, event.duration.total_seconds(), event.outcome)


_COUNTED: dict[type[Event], Callable[[Meter, Any], None]] = {
    events.RequestCompleted: _request,
    events.WritesDelivered: _delivered,
    events.UpstreamCallCompleted: _call,
    events.WritesDeadLettered: lambda meter, e: meter.add(catalogue.WRITES_DEAD_LETTERED, e.reason, by=e.writes),
    events.BatchRejected: lambda meter, _: meter.add(catalogue.BATCHES_REFUSED),
    events.LaneDeferred: lambda meter, e: meter.add(catalogue.LANES_DEFERRED, e.outcome),
    events.LaneDenied: lambda meter, e: meter.add(catalogue.LANES_DENIED, e.action),
    events.LanesRedispatched: lambda meter, e: meter.add(catalogue.LANES_REDISPATCHED, by=e.lanes),
    events.DispatchFailed: lambda meter, e: meter.add(catalogue.DISPATCH_FAILURES, by=e.hints),
    events.LeaseExpired: lambda meter, _: meter.add(catalogue.LEASES_LOST),
    events.ThreadStarted: lambda meter, e: meter.add(catalogue.THREADS_STARTED, e.thread),
    events.ThreadFailed: lambda meter, e: meter.add(catalogue.THREAD_FAILURES, e.thread),
    events.StoreError: lambda meter, e: meter.add(catalogue.STORE_FAILURES, e.operation),
    events.DeliveryErrored: lambda meter, _: meter.add(catalogue.DELIVERY_ERRORS),
    events.DeadLettersDrained: lambda meter, e: meter.add(catalogue.DEAD_LETTERS_DRAINED, e.action, by=e.letters),
    events.DeadLettersExpired: lambda meter, e: meter.add(catalogue.DEAD_LETTERS_EXPIRED, by=e.letters),
}
