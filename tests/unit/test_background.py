# SPDX-License-Identifier: Apache-2.0
"""A background thread outlives what its work raises, and belongs to the process that uses it."""

import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from queue import SimpleQueue

import pytest

from bridge.events import Event, ThreadFailed, ThreadStarted
from bridge.process import background
from bridge.process.background import BackgroundThread, thread_counts
from bridge.telemetry.metrics import CounterKey
from bridge.telemetry.observers import Observers
from tests.fakes import Events
from tests.servers import wait_until
from tests.unit.test_metrics_counting import FakeTotals, samples


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(background, "_MAX_PAUSE_S", 0.01)


def failing(times: int, error: Callable[[], BaseException], done: threading.Event) -> Callable[[], None]:
    """Work that fails so often, and is done then."""
    attempts = iter(range(times))

    def work() -> None:
        if next(attempts, None) is not None:
            raise error()
        done.set()

    return work


@pytest.mark.parametrize("error", [TypeError, MemoryError, SystemExit, KeyboardInterrupt])
def test_whatever_the_work_raises_is_observed_with_its_place_and_the_thread_goes_on(error: type[BaseException]) -> None:
    events, done, stopping = Events(), threading.Event(), threading.Event()
    thread = BackgroundThread("t", failing(5, error, done), observe=events, interval_s=0.001, stopping=stopping)

    thread.start()

    assert done.wait(30)
    assert thread.is_alive
    assert events.of(ThreadStarted) == [ThreadStarted(thread="t")]
    assert [(each.thread, each.error) for each in events.of(ThreadFailed)] == [("t", error.__name__)] * 5
    assert all("test_background.py:" in each.place and " in work" in each.place for each in events.of(ThreadFailed))
    stopping.set()
    wait_until(lambda: not thread.is_alive)


def test_the_pauses_double_up_to_a_limit_and_begin_again_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(background, "_MAX_PAUSE_S", 0.5)
    pauses: SimpleQueue[float] = SimpleQueue()

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.put(timeout or 0.0)
            return False

    outcomes = iter([False] * 5 + [True] + [False] * 2)
    stopping = Stopping()

    def work() -> None:
        if (outcome := next(outcomes, None)) is None:
            stopping.set()
        elif not outcome:
            raise ValueError

    BackgroundThread("t", work, observe=Events(), stopping=stopping).start()

    assert [pauses.get(timeout=30) for _ in range(7)] == [0.1, 0.2, 0.4, 0.5, 0.5, 0.1, 0.2]


def test_an_observer_that_raises_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    done, stopping = threading.Event(), threading.Event()

    def observe(event: Event, /) -> None:
        raise ValueError(event)

    BackgroundThread("t", failing(2, ValueError, done), observe=observe, stopping=stopping).start()

    assert done.wait(30)
    stopping.set()
    assert {record.message for record in caplog.records} == {"event_not_observed"}


def test_without_an_observer_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    done, stopping = threading.Event(), threading.Event()

    BackgroundThread("t", failing(1, ValueError, done), stopping=stopping).start()

    assert done.wait(30)
    stopping.set()
    assert [(record.message, record.levelno) for record in caplog.records] == [("thread_failed", logging.ERROR)]


def test_calls_that_come_together_are_one_and_one_that_failed_is_made_good() -> None:
    done: SimpleQueue[int] = SimpleQueue()
    going, go_on = threading.Event(), threading.Event()
    numbers = iter(range(100))

    def work() -> None:
        number = next(numbers)
        going.set()
        assert go_on.wait(30)
        if number == 1:
            raise ValueError
        done.put(number)

    thread = BackgroundThread("t", work, runs_on_call=True)
    thread.call()
    assert going.wait(30)
    for _ in range(10):
        thread.call()
    go_on.set()

    assert [done.get(timeout=30), done.get(timeout=30)] == [0, 2]
    assert done.empty()


def test_many_that_use_it_first_at_once_start_one_thread() -> None:
    events, stopping = Events(), threading.Event()
    thread = BackgroundThread("t", lambda: stopping.wait(0.01), observe=events, stopping=stopping)
    together = threading.Barrier(8)

    def use() -> None:
        together.wait()
        thread.start()

    users = [threading.Thread(target=use) for _ in range(8)]
    for each in users:
        each.start()
    for each in users:
        each.join()
    wait_until(lambda: thread.is_alive and events.seen)
    stopping.set()

    assert len(events.of(ThreadStarted)) == 1


def test_a_machine_without_threads_to_spare_fails_no_caller_and_the_next_use_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopping = threading.Event()
    thread = BackgroundThread("spare", lambda: stopping.wait(0.01), stopping=stopping)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        thread.start()
    assert thread_counts()["spare", "dead"] == 1

    thread.start()
    assert thread.is_alive
    assert thread_counts()["spare", "alive"] == 1
    stopping.set()
    wait_until(lambda: ("spare", "alive") not in thread_counts())
    assert ("spare", "dead") not in thread_counts()


_FORK = """
import os, threading
from bridge.process.background import BackgroundThread, thread_counts
done = threading.Event()
thread = BackgroundThread("t", done.set, runs_on_call=True)
thread.call()
assert done.wait(30)
thread._start_lock.acquire()
pid = os.fork()
if pid == 0:
    done.clear()
    clean = not thread.is_alive and not thread_counts()
    thread.call()
    os._exit(0 if clean and done.wait(30) and thread_counts()["t", "alive"] == 1 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_process_starts_a_thread_of_its_own_whatever_the_parent_has_locked() -> None:
    assert subprocess.run([sys.executable, "-c", _FORK], check=False, timeout=60).returncode == 0


class BrokenTotals(FakeTotals):
    """Totals with a defect, for a while."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.failures = iter(range(times))

    def add(self, counts: Mapping[CounterKey, float]) -> None:
        if next(self.failures, None) is not None:
            raise TypeError
        super().add(counts)


def test_a_defect_in_the_meters_own_thread_is_counted_and_loses_no_counts() -> None:
    counters = BrokenTotals(3)
    observe = Observers(counters)
    observe.report_threads()

    observe(ThreadFailed(thread="other", error="", place=""))

    wait_until(lambda: samples(counters).get("thread_failures_total{thread=meter}") == 3)
    found = samples(counters)
    assert found["thread_failures_total{thread=other}"] == 1
    assert found["threads_started_total{thread=meter}"] == 1
    [threads] = wait_until(lambda: list(counters.reports.values()))
    assert Counter(threads)["meter", "alive"] >= 1


def test_a_thread_that_is_about_to_run_is_not_counted_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may count while this one is being started."""
    counted: list[str] = []
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        counted.extend(state for name, state in thread_counts() if name == "beginning")
        begin(thread)

    stopping = threading.Event()
    thread = BackgroundThread("beginning", lambda: None, interval_s=0.01, stopping=stopping)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        thread.start()
    stopping.set()

    assert counted == ["alive"]
