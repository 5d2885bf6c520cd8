# SPDX-License-Identifier: Apache-2.0
"""What is told of each event in a process: its log and its meter."""

from collections.abc import Callable, Sequence

from bridge.events import Event, RequestAnswered
from bridge.telemetry.gathered import Gathered
from bridge.telemetry.logs import log_event, log_events
from bridge.telemetry.meter import Meter
from bridge.totals import Totals


class Observers:
    """Tells both. Requests are told a moment later, and logged only where it is known whose they are."""

    def __init__(self, totals: Totals, *, logs_requests: bool = False) -> None:
        self._meter = Meter(totals, observe=self)
        of_requests: list[Callable[[Sequence[Event]], None]] = [self._meter.count_all]
        if logs_requests:
            of_requests.append(log_events)
        self._requests = Gathered(*of_requests, observe=self)

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        if isinstance(event, RequestAnswered):
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
