# SPDX-License-Identifier: Apache-2.0
"""Background threads that live as long as their process.

An exception of the work is logged with its place and counted, and the thread continues after a pause. The pause doubles
with each failure in a row, up to a limit.
"""

import logging
import os
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePath

from bridge.events import Event, Observer, ThreadFailed, ThreadStarted

#: The number of background threads by name and state: ``alive`` or ``dead``.
ThreadCounts = Mapping[tuple[str, str], int]

_LOG = logging.getLogger(__name__)

#: The pauses after failures.
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0


class BackgroundThread:
    """Repeats one piece of work in a daemon thread, which the first use starts.

    A process that forks before the first use gets a thread of its own. By default the work itself blocks until there is
    something to do. With ``runs_on_call`` it runs after each `call`, and merges calls before it begins. The thread
    pauses for ``interval_s`` after each run. It ends when ``stopping`` is set, or with the process.

    ``observe`` receives the thread's start and its failures. Without it, failures are only logged.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        *,
        observe: Observer | None = None,
        runs_on_call: bool = False,
        interval_s: float = 0.0,
        stopping: threading.Event | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._observe = observe or _log_failure
        self._runs_on_call = runs_on_call
        self._interval_s = interval_s
        self._stopping_of_caller = stopping
        self._thread: threading.Thread | None = None
        self._make_locks()

    def start(self) -> None:
        """Start the thread unless it runs. While it runs, this costs one comparison and no lock."""
        if self._thread is None:
            self._start_thread()

    def call(self) -> None:
        """Request a run of the work. While a request is pending, this costs two comparisons and no lock."""
        if not self._run_requested.is_set():
            self._run_requested.set()
        self.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs in this process, or is about to."""
        thread = self._thread
        return thread is not None and (thread.ident is None or thread.is_alive())

    def forget(self) -> None:
        """Drop the thread after a fork: it runs in the parent only, and may hold a lock there."""
        self._thread = None
        self._make_locks()

    def _make_locks(self) -> None:
        self._start_lock = threading.Lock()
        self._run_requested = threading.Event()
        self._stopping = self._stopping_of_caller or threading.Event()

    def _start_thread(self) -> None:
        with self._start_lock:
            if self._thread is not None:
                return
            # Set before the thread runs: the metrics thread counts its own start and so reaches this method again.
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            if self not in _STARTED:
                _STARTED.append(self)
            try:
                self._thread.start()
            except RuntimeError:
                # The machine is out of threads, and an observer may need one. The next use tries again.
                self._thread = None
                _LOG.exception("thread_not_started", extra={"fields": {"thread": self.name}})

    def _run(self) -> None:
        try:
            self._emit(ThreadStarted(thread=self.name))
            self._repeat_work()
            # An intended end.
            _STARTED.remove(self)
        finally:
            # After any other end the next use starts a new thread. Until then this one counts as dead.
            self._thread = None

    def _repeat_work(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                if self._runs_on_call:
                    self._run_requested.wait()
                    self._run_requested.clear()
                self._work()
            except BaseException as error:  # noqa: BLE001 - the next run may succeed, whatever it was
                self._emit(ThreadFailed(thread=self.name, error=type(error).__name__, place=_place_of(error)))
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, _MAX_PAUSE_S)
                # The requested work is not done yet.
                self._run_requested.set()
            else:
                pause_s = _FIRST_PAUSE_S
                if self._interval_s:
                    self._stopping.wait(self._interval_s)

    def _emit(self, event: Event) -> None:
        try:
            self._observe(event)
        except Exception:  # noqa: BLE001 - see the next line
            # An observer must not raise. If one does, the work continues.
            _LOG.exception("event_not_observed", extra={"fields": {"thread": self.name}})


def thread_counts() -> ThreadCounts:
    """Return the number of background threads that this process has started, by name and state."""
    states = [(thread, "alive" if thread.is_alive else "dead") for thread in list(_STARTED)]
    # A thread that ended as intended meanwhile has left the list; it is not dead.
    return Counter((thread.name, state) for thread, state in states if thread in _STARTED)


def _place_of(error: BaseException) -> str:
    """Return the line of code that raised, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def _log_failure(event: Event) -> None:
    if isinstance(event, ThreadFailed):
        fields = {"thread": event.thread, "error": event.error, "place": event.place}
        _LOG.error("thread_failed", extra={"fields": fields})


#: The threads of this process that were started and not stopped. A list needs no lock, which a fork could leave locked.
_STARTED: list[BackgroundThread] = []


def _forget_all() -> None:
    """Forget the threads of the parent in a forked process."""
    for thread in _STARTED:
        thread.forget()
    _STARTED.clear()


os.register_at_fork(after_in_child=_forget_all)
