# SPDX-License-Identifier: Apache-2.0
"""Events that are observed a moment later, many in one go: a client need not wait until his request is written down.

One by one the observing costs several times as much, and each line's own system call lets another thread of the
process in. What is gathered when a process is killed, a tenth of a second's worth, is lost.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from bridge.background import BackgroundThread
from bridge.events import Event, Observer

_LOG = logging.getLogger(__name__)

_PERIOD = 0.1
#: As many as wait at most. Whoever brings one more waits himself: none goes untold, and memory is bounded.
_MOST = 10_000


class Gathered:
    """Hands events over ten times a second."""

    def __init__(self, *observers: Callable[[Sequence[Event]], None], observe: Observer | None = None) -> None:
        """``observe`` receives what goes wrong with the thread that hands over."""
        self._observers = observers
        self._events: deque[Event] = deque()
        self._handing_over = threading.Lock()
        self._thread = BackgroundThread("events", self._flush_later, called=True, observe=observe)

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self._events.append(event)
        if len(self._events) > _MOST:
            self.flush()
        else:
            self._thread.call()

    def flush(self) -> None:
        """Hand over whatever there is, in its order."""
        with self._handing_over:
            # As many as there are now: more may come all the time.
            events = [self._events.popleft() for _ in range(len(self._events))]
            for observe in self._observers:
                try:
                    observe(events)
                except Exception:  # noqa: BLE001 - it must never; if it does, others and later ones are told all the same
                    _LOG.exception("events_not_told", extra={"fields": {"events": len(events)}})

    def _flush_later(self) -> None:
        time.sleep(_PERIOD)
        self.flush()
