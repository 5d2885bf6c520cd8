# SPDX-License-Identifier: Apache-2.0
"""What is told of each event in a process: its log and its meter."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from bridge.events import Event, Observer, RequestCompleted
from bridge.process.background import BackgroundThread
from bridge.telemetry.logs import log_event, log_events
from bridge.telemetry.metrics import CounterStore, Meter


class Observers:
    """Tells both. Requests are told a moment later, and logged only where it is known whose they are."""

    def __init__(self, counters: CounterStore, *, logs_requests: bool = False) -> None:
        self._meter = Meter(counters, observe=self)
        of_requests: list[Callable[[Sequence[Event]], None]] = [self._meter.count_all]
        if logs_requests:
            of_requests.append(log_events)
        self._requests = BufferedObserver(*of_requests, observe=self)

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        if isinstance(event, RequestCompleted):
            self._requests(event)
        else:
            log_event(event)
            self._meter(event)

    def report_threads(self) -> None:
        """Report the background threads of this process from now on; see `Meter.report_threads`."""
        self._meter.report_threads()

    def close(self) -> None:
        """Tell what has not been told yet; asked when the process ends."""
        self._requests.flush()
        self._meter.flush()


_LOG = logging.getLogger(__name__)

_PERIOD = 0.1
#: As many as wait at most. Whoever brings one more waits himself: none goes untold, and memory is bounded.
_MOST = 10_000


class BufferedObserver:
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
