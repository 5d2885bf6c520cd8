# SPDX-License-Identifier: Apache-2.0
"""What a worker process reports about itself."""

import datetime as dt

from bridge.errors import StoreUnavailable
from bridge.events import DispatchFailed, LanesRedispatched, StoreError, ThreadFailed
from bridge.operations.workers import WorkerActivity, WorkerReport
from bridge.telemetry.observers import Observers
from tests.unit.test_metrics_counting import FakeTotals

NOW = dt.datetime(2026, 11, 28, 14, 2, 11, tzinfo=dt.UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> dt.timedelta:
        return dt.timedelta()


class Reports:
    """Keeps reports, unless the store is away."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, WorkerReport]] = []
        self.is_away = False

    def report(self, name: str, report: WorkerReport) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.reported.append((name, report))


def activity(clock: Clock) -> WorkerActivity:
    return WorkerActivity(clock, version="0.2.0", concurrency=8)


def test_lanes_count_while_they_are_delivered() -> None:
    worker = activity(Clock())

    with worker.delivering(), worker.delivering():
        during = worker.report()

    assert (during.delivering, worker.report().delivering, during.concurrency) == (2, 0, 8)
    assert (during.version, during.started_at, during.last_error) == ("0.2.0", NOW, None)


def test_the_last_failure_of_the_process_itself_is_reported() -> None:
    clock = Clock()
    worker = activity(clock)
    worker(DispatchFailed(hints=3, reason="refused"))
    clock.time += dt.timedelta(seconds=5)
    worker(StoreError(operation="sweep", reason="TimeoutError"))
    worker(LanesRedispatched(lanes=1))

    failure = worker.report().last_error

    assert failure
    assert (failure.at, failure.text) == (clock.time, "The store failed during sweep: TimeoutError")


def test_a_report_that_the_store_does_not_take_is_left_out() -> None:
    worker, reports = activity(Clock()), Reports()
    reports.is_away = True
    worker.tick("host:7", reports)
    reports.is_away = False
    worker.tick("host:7", reports)

    assert [name for name, _ in reports.reported] == ["host:7"]


def test_events_of_the_process_reach_it() -> None:
    worker = activity(Clock())
    observe = Observers(FakeTotals(), worker)

    observe(ThreadFailed(thread="drain", error="KeyError", place="x.py:1 in f"))

    failure = worker.report().last_error
    assert failure
    assert failure.text == "The thread drain failed: KeyError at x.py:1 in f"
