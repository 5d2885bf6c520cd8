# SPDX-License-Identifier: Apache-2.0
"""The report of a worker process about itself: its version, its load and its last failure."""

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import msgspec

from bridge.errors import StoreUnavailable
from bridge.events import DeliveryErrored, DispatchFailed, Event, StoreError, ThreadFailed
from bridge.process.clock import Clock
from schemas.operations import WorkerError


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one worker process. Fields may be added, with a default."""

    version: str
    started_at: dt.datetime
    concurrency: int
    #: The number of lanes that it is delivering.
    delivering: int
    last_error: WorkerError | None = None


class WorkerReports(Protocol):
    """The latest report of each worker process. Whether a worker is alive is in the outbox."""

    def report(self, name: str, report: WorkerReport) -> None:
        """Replace the report of this process. Raises ``StoreUnavailable``."""
        ...


class WorkerActivity:
    """Counts the lanes that this process is delivering, and keeps its last failure. An observer of its events."""

    def __init__(self, clock: Clock, *, version: str, concurrency: int) -> None:
        self._clock = clock
        self._version = version
        self._concurrency = concurrency
        self._started_at = clock.now()
        self._delivering = 0
        self._lock = threading.Lock()
        self._last_error: WorkerError | None = None

    def __call__(self, event: Event) -> None:
        """Keep the event if it is a failure of the process itself. Upstream's failures are not."""
        if text := _failure(event):
            self._last_error = WorkerError(at=self._clock.now(), text=text)

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """Count one more lane until the `with` ends."""
        with self._lock:
            self._delivering += 1
        try:
            yield
        finally:
            with self._lock:
                self._delivering -= 1

    def report(self) -> WorkerReport:
        """Return the present report."""
        return WorkerReport(
            version=self._version,
            started_at=self._started_at,
            concurrency=self._concurrency,
            delivering=self._delivering,
            last_error=self._last_error,
        )

    def tick(self, name: str, reports: WorkerReports) -> None:
        """Send the report to the store. If the store is unavailable, the sweep of the same process reports that."""
        with suppress(StoreUnavailable):
            reports.report(name, self.report())


def _failure(event: Event) -> str | None:
    match event:
        case StoreError():
            return f"The store failed during {event.operation}: {event.reason}"
        case DeliveryErrored():
            return f"A delivery ended in an internal error: {event.reason}"
        case DispatchFailed():
            return f"{event.hints} hints could not be published: {event.reason}"
        case ThreadFailed():
            return f"The thread {event.thread} failed: {event.error} at {event.place}"
        case _:
            return None
