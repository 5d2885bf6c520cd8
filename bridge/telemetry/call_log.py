# SPDX-License-Identifier: Apache-2.0
"""The call log for operators: the latest failed calls to upstream, and the last hour's calls by outcome.

Each process notes its calls in memory, and adds them to the shared store every second. A process that is killed loses
the notes of its last second, and never a write. No note holds a body or a credential; upstream's messages are cut.
"""

import datetime as dt
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from bridge.errors import StoreUnavailable
from bridge.events import Event, Observer, UpstreamCallCompleted
from bridge.process.background import BackgroundThread
from schemas.upstream import FailedCall

#: The store keeps this many failed calls.
MAX_FAILURES = 200

_FLUSH_INTERVAL_S = 1.0
_MAX_MESSAGE_LENGTH = 300
_MAX_NAME_LENGTH = 128


class CallLog(Protocol):
    """The calls of all processes. Every method raises ``StoreUnavailable``."""

    def add(self, failures: Sequence[FailedCall], outcomes: Mapping[str, int]) -> None:
        """Add failed calls, and numbers of calls by their outcome."""
        ...

    def failures(self) -> list[FailedCall]:
        """Return the latest failed calls, the newest first."""
        ...

    def outcomes(self) -> dict[str, int]:
        """Return the number of calls by outcome, of the last hour and up to five minutes more."""
        ...


class CallRecorder:
    """Notes calls, see `bridge.events.Observer`."""

    def __init__(self, log: CallLog, now: Callable[[], dt.datetime], *, observe: Observer | None = None) -> None:
        """``observe`` receives the failures of the recorder's own thread."""
        self._log = log
        self._now = now
        self._failures: deque[FailedCall] = deque(maxlen=MAX_FAILURES)
        self._outcomes: Counter[str] = Counter()
        self._notes_lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._thread = BackgroundThread("calls", self.flush, interval_s=_FLUSH_INTERVAL_S, observe=observe)

    def __call__(self, event: Event) -> None:
        """Note a call."""
        if not isinstance(event, UpstreamCallCompleted):
            return
        # A search or a look-up without a result is no failure.
        is_answered = event.outcome == "delivered" or (event.outcome == "refused" and event.reads)
        failure = None if is_answered else _failed_call(event, self._now())
        with self._notes_lock:
            self._outcomes["delivered" if is_answered else event.outcome] += 1
            if failure:
                self._failures.append(failure)
        self._thread.start()

    def flush(self) -> None:
        """Add the notes to the store. If it does not respond, they are kept for the next flush, the latest at least."""
        with self._flush_lock:
            with self._notes_lock:
                failures, self._failures = self._failures, deque(maxlen=MAX_FAILURES)
                outcomes, self._outcomes = self._outcomes, Counter()
            if not outcomes:
                return
            try:
                self._log.add(failures, outcomes)
            except BaseException as error:
                with self._notes_lock:
                    self._failures = deque([*failures, *self._failures], maxlen=MAX_FAILURES)
                    self._outcomes.update(outcomes)
                if not isinstance(error, StoreUnavailable):
                    raise


def _failed_call(event: UpstreamCallCompleted, now: dt.datetime) -> FailedCall:
    return FailedCall(
        # Sorted by time, and unique across processes.
        id=f"{round(now.timestamp() * 1000):013d}-{secrets.token_hex(4)}",
        at=now,
        call=event.endpoint[:_MAX_MESSAGE_LENGTH],
        lane=event.lane,
        status=event.status,
        error_code=event.error_code[:_MAX_NAME_LENGTH] if event.error_code else None,
        outcome=event.outcome,
        duration=round(event.duration.total_seconds(), 3),
        request_id=event.request_id,
        upstream_request_id=event.upstream_request_id[:_MAX_NAME_LENGTH] if event.upstream_request_id else None,
        message=_truncate(event.unlogged_reason),
    )


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE_LENGTH else f"{text[: _MAX_MESSAGE_LENGTH - 1]}…"
