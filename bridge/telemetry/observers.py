# SPDX-License-Identifier: Apache-2.0
"""The observers of a process: they pass each event to the log, to the meter and to the records for operators."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.events import Event, Observer, RequestCompleted
from bridge.process.background import BackgroundThread
from bridge.process.clock import SystemClock
from bridge.telemetry.audit import AuditStore, AuditTrail
from bridge.telemetry.call_log import CallLog, CallRecorder
from bridge.telemetry.logs import log_event, log_events
from bridge.telemetry.metrics import CounterStore, Meter
from bridge.telemetry.usage import UsageMeter, UsageStore

_LOG = logging.getLogger(__name__)

_FLUSH_DELAY_S = 0.1
#: A caller that exceeds it flushes the buffer itself: no event is lost, and memory is bounded.
_MAX_BUFFERED_EVENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The stores in which a process records events for operators. None: such events are not recorded."""

    #: Failed calls to upstream.
    calls: CallLog | None = None
    #: Changes, sign-ins and denials of the api.
    audit: AuditStore | None = None
    #: The requests of each client, which only the api has.
    usage: UsageStore | None = None


class Observers:
    """Logs, counts and records events. Request events are buffered, and logged only if clients authenticate."""

    def __init__(
        self,
        counters: CounterStore,
        *others: Observer,
        records: Records = Records(),
        logs_requests: bool = False,
    ) -> None:
        """``others`` observe each event as well, except for those of requests."""
        clock = SystemClock()
        self._meter = Meter(counters, observe=self)
        self._observers: list[Observer] = [log_event, self._meter, *others]
        #: Called at the end of the process, the last one first.
        self._flushes: list[Callable[[], None]] = [self._meter.flush]
        request_observers: list[Callable[[Sequence[Event]], None]] = [self._meter.count_all]
        if logs_requests:
            request_observers.append(log_events)
        if records.calls:
            calls = CallRecorder(records.calls, clock.now, observe=self)
            self._observers.append(calls)
            self._flushes.append(calls.flush)
        if records.audit:
            audit = AuditTrail(records.audit, clock, observe=self)
            self._observers.append(audit)
            request_observers.append(audit.observe_all)
            self._flushes.append(audit.close)
        if records.usage:
            usage = UsageMeter(records.usage, observe=self)
            request_observers.append(usage.count_all)
            self._flushes.append(usage.flush)
        self._requests = BufferedObserver(*request_observers, observe=self)

    def __call__(self, event: Event) -> None:
        """Log, count and record an event."""
        if isinstance(event, RequestCompleted):
            self._requests(event)
        else:
            for observe in self._observers:
                observe(event)

    def report_threads(self) -> None:
        """Report the background threads of this process from now on, see `Meter.report_threads`."""
        self._meter.report_threads()

    def close(self) -> None:
        """Flush buffered events, counts and records; called when the process ends."""
        self._requests.flush()
        # The meter last: it counts what the others report.
        for flush in reversed(self._flushes):
            flush()


class BufferedObserver:
    """Buffers events, and passes them on in batches, ten times a second."""

    def __init__(self, *observers: Callable[[Sequence[Event]], None], observe: Observer | None = None) -> None:
        """``observe`` receives the failures of the flushing thread."""
        self._observers = observers
        self._events: deque[Event] = deque()
        self._flush_lock = threading.Lock()
        self._thread = BackgroundThread("events", self._delayed_flush, runs_on_call=True, observe=observe)

    def __call__(self, event: Event) -> None:
        """Buffer an event."""
        self._events.append(event)
        if len(self._events) > _MAX_BUFFERED_EVENTS:
            self.flush()
        else:
            self._thread.call()

    def flush(self) -> None:
        """Pass on all buffered events in their order."""
        with self._flush_lock:
            # Only the present number: further events may arrive all the time.
            events = [self._events.popleft() for _ in range(len(self._events))]
            for observe in self._observers:
                try:
                    observe(events)
                except Exception:  # noqa: BLE001 - an observer must not raise; if it does, the others and later batches are still served
                    _LOG.exception("events_not_observed", extra={"fields": {"events": len(events)}})

    def _delayed_flush(self) -> None:
        time.sleep(_FLUSH_DELAY_S)
        self.flush()
