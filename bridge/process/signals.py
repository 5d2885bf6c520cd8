# SPDX-License-Identifier: Apache-2.0
"""Async-signal-safe notification of a thread by a signal handler."""

import datetime as dt
import queue
from collections.abc import Callable

from bridge.events import Observer
from bridge.process.background import BackgroundThread


class SignalNotifier:
    """Wakes a thread from a signal handler.

    A handler can be interrupted by the next signal at any instruction, and so by itself. It must take no lock that it
    may already hold: ``threading.Event.set`` does, and then deadlocks. ``queue.SimpleQueue.put`` is reentrant
    (https://docs.python.org/3/library/queue.html).
    """

    def __init__(self) -> None:
        self._notifications: queue.SimpleQueue[None] = queue.SimpleQueue()

    def notify(self, *_: object) -> None:
        """Wake a waiting thread, or the next one that waits. Takes the arguments of any signal handler."""
        self._notifications.put(None)

    def wait(self, timeout: dt.timedelta | None = None) -> bool:
        """Return True after a notification, False after the timeout. Each notification wakes one ``wait``."""
        try:
            self._notifications.get(timeout=None if timeout is None else timeout.total_seconds())
        except queue.Empty:
            return False
        return True

    def subscribe(self, callback: Callable[[], object], *, observe: Observer | None = None) -> None:
        """Call ``callback`` after each notification, in a thread of its own, outside of the signal handler."""

        def wait_and_call() -> None:
            self.wait()
            callback()

        BackgroundThread("signals", wait_and_call, observe=observe).start()
