# SPDX-License-Identifier: Apache-2.0
"""Threads that work in the background for as long as their process lives.

An exception of the work is logged with its place and counted, and the thread goes on after a pause. The pause doubles
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

#: How many background threads there are, by name and state: ``alive`` or ``dead``.
Census = Mapping[tuple[str, str], int]

_LOG = logging.getLogger(__name__)

#: The pauses after failures, in seconds.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0


class BackgroundThread:
    """Does one piece of work again and again, in a daemon thread that the first use starts.

    So the thread belongs to the process that uses it. By default the work itself waits until there is something to do.
    With ``called`` it is done after each `call`; calls that come before it begins count as one. With ``every`` the
    thread pauses for so many seconds after each time. It ends when ``stopping`` is set, or with the process.

    ``observe`` receives the thread's start and its failures. Without it, failures are only logged.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        *,
        observe: Observer | None = None,
        called: bool = False,
        every: float = 0.0,
        stopping: threading.Event | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._observe = observe or _log
        self._is_called = called
        self._every = every
        self._given_stopping = stopping
        self._thread: threading.Thread | None = None
        self._make_locks()

    def start(self) -> None:
        """Start the thread if it does not run yet. While it runs, this costs one comparison and no lock."""
        if self._thread is None:
            self._begin()

    def call(self) -> None:
        """Have the work done soon. While a call waits already, this costs two comparisons and no lock."""
        if not self._called.is_set():
            self._called.set()
        self.start()

    @property
    def is_alive(self) -> bool:
        """The thread runs in this process, or is about to."""
        thread = self._thread
        return thread is not None and (thread.ident is None or thread.is_alive())

    def _begin(self) -> None:
        with self._beginning:
            if self._thread is not None:
                return
            # Set before the thread runs: the start of the meter's thread is counted, and that leads back to here.
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            if self not in _STARTED:
                _STARTED.append(self)
            try:
                self._thread.start()
            except RuntimeError:
                # The machine has no thread left, and an observer may need one. The next use tries again.
                self._thread = None
                _LOG.exception("thread_not_started", extra={"fields": {"thread": self.name}})

    def _run(self) -> None:
        try:
            self._emit(ThreadStarted(thread=self.name))
            self._work_on()
            # This end is meant.
            _STARTED.remove(self)
        finally:
            # After any other end the next use starts a new thread. Until then the census counts this one as dead.
            self._thread = None

    def _work_on(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                if self._is_called:
                    self._called.wait()
                    self._called.clear()
                self._work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the next time may go well
                self._emit(ThreadFailed(thread=self.name, error=type(error).__name__, place=_place_of(error)))
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                # The work of this call is still to be done.
                self._called.set()
            else:
                pause = _FIRST_PAUSE
                if self._every:
                    self._stopping.wait(self._every)

    def _emit(self, event: Event) -> None:
        try:
            self._observe(event)
        except Exception:  # noqa: BLE001 - see the next line
            # An observer must not raise. If one does, the work goes on all the same.
            _LOG.exception("event_not_observed", extra={"fields": {"thread": self.name}})

    def _make_locks(self) -> None:
        self._beginning = threading.Lock()
        self._called = threading.Event()
        self._stopping = self._given_stopping or threading.Event()

    def forget(self) -> None:
        """Forget the thread after a fork: it runs in the parent only, and may hold a lock there."""
        self._thread = None
        self._make_locks()


def census() -> Census:
    """Return how many background threads this process has started, by name and state."""
    states = [(each, "alive" if each.is_alive else "dead") for each in list(_STARTED)]
    # A thread that was to end meanwhile is no longer there; it is not dead.
    return Counter((each.name, state) for each, state in states if each in _STARTED)


def _place_of(error: BaseException) -> str:
    """Return the line of code that raised, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def _log(event: Event) -> None:
    if isinstance(event, ThreadFailed):
        fields = {"thread": event.thread, "error": event.error, "place": event.place}
        _LOG.error("thread_failed", extra={"fields": fields})


#: The threads of this process that were started and not stopped. A list needs no lock, which a fork could leave locked.
_STARTED: list[BackgroundThread] = []


def _forget_all() -> None:
    for each in _STARTED:
        each.forget()
    _STARTED.clear()


os.register_at_fork(after_in_child=_forget_all)
