# SPDX-License-Identifier: Apache-2.0
"""How a signal's receiver tells a thread that there is something to do."""

import datetime as dt
import queue
from collections.abc import Callable

from bridge.events import Observer
from bridge.process.background import BackgroundThread


class SignalNotifier:
    """Is rung by the receiver of a signal, and heard by a thread.

    A receiver can be interrupted by the next signal at any instruction, and so by itself. It must take no lock that it
    may hold already: ``threading.Event.set`` does, and then waits for ever. ``queue.SimpleQueue.put`` is made for it
    (https://docs.python.org/3/library/queue.html).
    """

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self, *_: object) -> None:
        """Have it heard, now or by who comes to listen; takes whatever a signal's receiver is called with."""
        self._rings.put(None)

    def wait(self, timeout: dt.timedelta | None = None) -> bool:
        """Return True once it rings, or False after the timeout. Each ring is heard once."""
        try:
            self._rings.get(timeout=None if timeout is None else timeout.total_seconds())
        except queue.Empty:
            return False
        return True

    def each_time(self, do: Callable[[], object], *, observe: Observer | None = None) -> None:
        """Have a thread do this each time that it rings. The receiver only rings and never touches the thread."""

        def follow() -> None:
            self.wait()
            do()

        BackgroundThread("bell", follow, observe=observe).start()
