# SPDX-License-Identifier: Apache-2.0
"""Counters and histograms: each process counts events, and adds its counts to the shared store every second.

A process that is killed loses the counts of its last second, and never a write.
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
from bridge.process.background import BackgroundThread, ThreadCounts, thread_counts
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.metric_catalogue import Metric

#: The key of a counter: the metric's name, its label values, and for a histogram the bucket or ``sum``.
CounterKey = tuple[str, ...]

_FLUSH_INTERVAL_S = 1.0
#: The interval at which a process reports its threads, unless they change.
_REPORT_INTERVAL_S = 3.0


class Meter:
    """Counts events, see `bridge.events.Observer`. The dispatch table is `_COUNTERS` at the end of this file."""

    def __init__(self, counters: "CounterStore", *, observe: Observer | None = None) -> None:
        """``observe`` receives the failures of the meter's own thread, and may call this meter."""
        self._counters = counters
        self._counts: defaultdict[CounterKey, float] = defaultdict(float)
        self._counts_lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._thread = BackgroundThread("meter", self._flush_and_report, interval_s=_FLUSH_INTERVAL_S, observe=observe)
        self._reports_threads = False
        #: The last report of the threads, and its time (monotonic seconds).
        self._reported: ThreadCounts = {}
        self._reported_at = float("-inf")

    def __call__(self, event: Event) -> None:
        """Count an event."""
        count = _COUNTERS.get(type(event))
        if count is None:
            return
        with self._counts_lock:
            count(self, event)
        self._thread.start()

    def report_threads(self) -> None:
        """Report the background threads of this process from now on. Only one meter of a process may do so."""
        self._reports_threads = True
        self._thread.start()

    def count_all(self, events: Sequence[Event]) -> None:
        """Count many events, with one lock for all."""
        with self._counts_lock:
            for event in events:
                if count := _COUNTERS.get(type(event)):
                    count(self, event)
        self._thread.start()

    def add(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Increase a counter. Called by the functions of `_COUNTERS`, under the lock."""
        self._counts[metric.name, *labels] += by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram. Called by the functions of `_COUNTERS`, under the lock."""
        self._counts[metric.name, *labels, f"{bisect_left(metric.bounds, value)}"] += 1
        self._counts[metric.name, *labels, "sum"] += value

    def flush(self) -> None:
        """Add the counts to the totals of all processes. On failure they are kept for the next flush."""
        # One at a time: the last flush of a process must not overtake one that is under way.
        with self._flush_lock:
            with self._counts_lock:
                counts, self._counts = self._counts, defaultdict(float)
            if not counts:
                return
            try:
                self._counters.add(counts)
            except StoreUnavailable:
                self._restore(counts)
            except BaseException:
                self._restore(counts)
                raise

    def _restore(self, counts: Mapping[CounterKey, float]) -> None:
        with self._counts_lock:
            for key, number in counts.items():
                self._counts[key] += number

    def _flush_and_report(self) -> None:
        self.flush()
        if self._reports_threads:
            self._report_threads()

    def _report_threads(self) -> None:
        threads, now = thread_counts(), time.monotonic()
        if threads == self._reported and now - self._reported_at < _REPORT_INTERVAL_S:
            return
        with suppress(StoreUnavailable):
            # The process id is read each time, because a fork is another process.
            self._counters.report(f"{socket.gethostname()}:{os.getpid()}", threads)
            self._reported, self._reported_at = threads, now


class CounterStore(Protocol):
    """The counters of all processes. Every method raises ``StoreUnavailable``."""

    def add(self, counts: Mapping[CounterKey, float]) -> None:
        """Add to the totals of all processes."""
        ...

    def read(self) -> dict[CounterKey, float]:
        """Return the totals of all processes."""
        ...

    def report(self, process: str, threads: ThreadCounts) -> None:
        """Replace the report of one process about its background threads. A report expires after ten seconds."""
        ...

    def threads(self) -> ThreadCounts:
        """Return the background threads of all processes with an unexpired report."""
        ...


def _count_request(meter: Meter, event: events.RequestCompleted) -> None:
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
        if event.status == 429 and event.decision == "allowed":
            # A request over its quota is not allowed.
            meter.add(catalogue.WRITES_WITHOUT_ROOM)


def _count_delivered(meter: Meter, event: events.WritesDelivered) -> None:
    meter.add(catalogue.WRITES_DELIVERED, by=event.writes)
    meter.observe(catalogue.UPSTREAM_BATCH_SIZE, event.writes)
    meter.observe(catalogue.DELIVERY_LAG_SECONDS, event.lag.total_seconds())
    meter.observe(catalogue.DELIVERY_ATTEMPTS, event.attempt)


def _count_call(meter: Meter, event: events.UpstreamCallCompleted) -> None:
    meter.add(catalogue.UPSTREAM_CALLS, event.outcome, str(event.status or ""))
    meter.observe(catalogue.UPSTREAM_CALL_DURATION_SECONDS, event.duration.total_seconds(), event.outcome)


_COUNTERS: dict[type[Event], Callable[[Meter, Any], None]] = {
    events.RequestCompleted: _count_request,
    events.WritesDelivered: _count_delivered,
    events.UpstreamCallCompleted: _count_call,
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
    events.ReadCached: lambda meter, e: meter.add(catalogue.READS_CACHED, e.cache),
    events.SignedIn: lambda meter, e: meter.add(catalogue.SIGN_INS, e.via, "ok"),
    events.SignInFailed: lambda meter, e: meter.add(catalogue.SIGN_INS, e.via, e.reason),
    events.SignedOut: lambda meter, e: meter.add(catalogue.SIGN_OUTS, e.via),
    events.DeadLettersExpired: lambda meter, e: meter.add(catalogue.DEAD_LETTERS_EXPIRED, by=e.letters),
}
