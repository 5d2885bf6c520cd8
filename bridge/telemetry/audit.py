# SPDX-License-Identifier: Apache-2.0
"""The audit trail: stores the changes that were made through the api, the sign-ins and the denials.

The trail observes events. A background thread stores the records in batches, so no request waits for them, and none
fails because of them. Repeated denials are counted: a flood becomes one entry a minute for each client and address.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bridge.errors import StoreUnavailable
from bridge.events import Event, Observer, RequestCompleted, SignedIn, SignedOut, SignInFailed, StoreError
from bridge.process.background import BackgroundThread
from bridge.process.clock import Clock
from schemas.audit import AuditFilter, AuditPage, AuditRecord
from schemas.client import UNAUTHENTICATED

_FLUSH_INTERVAL_S = 1.0
#: Records of a batch, and records that are kept while the store is unavailable. Beyond that the oldest are lost.
_MAX_BATCH, _MAX_BUFFERED = 500, 10_000
#: Denials of a minute that are listed one by one: of one source, and in all.
_MAX_LISTED_OF_SOURCE, _MAX_LISTED = 10, 100
#: Sources of denials that are distinguished within a minute. Further ones are counted together, under no name.
_MAX_SOURCES = 100
_FURTHER_SOURCES = ("", "", "")
_WINDOW_S = 60.0
#: The request that ends a browser's sign-in, by kind of sign-in.
_SIGN_IN_CALLS = {"key": ("POST", "/v1/session"), "oidc": ("GET", "/app/callback")}


class InvalidAuditCursor(Exception):
    """The text is not the cursor of an earlier page."""


class AuditStore(Protocol):
    """The stored records. Every method raises ``StoreUnavailable``."""

    def append(self, records: Sequence[AuditRecord]) -> None:
        """Store records. The oldest ones beyond the limits are dropped, those of denials apart from all others."""
        ...

    def page(self, wanted: AuditFilter, *, after: str | None, limit: int) -> AuditPage:
        """Return entries, the newest first, or raise ``InvalidAuditCursor``.

        A page looks at a bounded number of entries, so it may hold fewer than ``limit`` and still have a next one.
        """
        ...


class AuditTrail:
    """Observes events, and stores a record of each one that is to be audited."""

    def __init__(self, store: AuditStore, clock: Clock, *, observe: Observer) -> None:
        """``observe`` receives the failures of the store."""
        self._store = store
        self._clock = clock
        self._observe = observe
        self._records: deque[AuditRecord] = deque()
        self._denials = Denials()
        self._lost = 0
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._thread = BackgroundThread("audit", self.flush, interval_s=_FLUSH_INTERVAL_S, observe=observe)

    def observe_all(self, events: Iterable[Event]) -> None:
        """Observe many events."""
        for event in events:
            self(event)

    def __call__(self, event: Event) -> None:
        """Observe an event."""
        record = self._record_of(event)
        if record is None:
            return
        with self._lock:
            if record.decision == "allowed":
                self._keep([record])
            else:
                self._keep(self._denials.add(record, self._clock.monotonic().total_seconds()))
        self._thread.start()

    def flush(self) -> None:
        """Store the records that are due."""
        self._flush(self._clock.monotonic().total_seconds())

    def close(self) -> None:
        """Store everything at the end of the process, also the counts of the running minute."""
        self._flush(float("inf"))

    def _flush(self, now: float) -> None:
        with self._flush_lock:
            with self._lock:
                self._keep(self._denials.take_counts(now))
            while batch := self._next_batch():
                try:
                    self._store.append(batch)
                except StoreUnavailable as error:
                    self._restore(batch, str(error))
                    return
                except BaseException as error:
                    self._restore(batch, type(error).__name__)
                    raise

    def _next_batch(self) -> list[AuditRecord]:
        with self._lock:
            batch = [self._records.popleft() for _ in range(min(_MAX_BATCH, len(self._records)))]
        # Events of requests arrive a moment later than others.
        return sorted(batch, key=lambda record: record.at)

    def _restore(self, batch: Sequence[AuditRecord], reason: str) -> None:
        with self._lock:
            self._records.extendleft(reversed(batch))
            # Only drops what is beyond the limit now.
            self._keep([])
            lost, self._lost = self._lost, 0
        self._observe(StoreError(operation="audit", reason=f"{reason}; {lost} records lost" if lost else reason))

    def _keep(self, records: Iterable[AuditRecord]) -> None:
        """Buffer records, and drop the oldest ones beyond the limit. Called under the lock."""
        self._records.extend(records)
        while len(self._records) > _MAX_BUFFERED:
            self._records.popleft()
            self._lost += 1

    def _record_of(self, event: Event) -> AuditRecord | None:
        match event:
            case RequestCompleted():
                return _record_of_request(event)
            case SignedIn() | SignInFailed():
                return self._record_of_sign_in(event)
            case SignedOut() if event.by == event.client:
                return AuditRecord(
                    at=self._clock.now(),
                    client=event.client,
                    address=event.address,
                    action="SignOut",
                    method="DELETE",
                    path="/v1/session",
                    on=event.session_id,
                    decision="allowed",
                    status=200,
                    request_id=event.request_id,
                )
        # A session that an operator has ended is recorded with the operator's request.
        return None

    def _record_of_sign_in(self, event: SignedIn | SignInFailed) -> AuditRecord:
        method, path = _SIGN_IN_CALLS.get(event.via, ("", ""))
        record = AuditRecord(
            at=self._clock.now(),
            client=UNAUTHENTICATED.name,
            address=event.address,
            action="SignIn",
            method=method,
            path=path,
            on=None,
            decision="unauthenticated",
            status=401,
            request_id=event.request_id,
        )
        if isinstance(event, SignInFailed):
            return msgspec.structs.replace(record, on=event.reason)
        return msgspec.structs.replace(record, client=event.client, on=event.session_id, decision="allowed", status=200)


@dataclass(slots=True)
class _Source:
    """The denials of one client, address and decision within a minute."""

    latest: AuditRecord
    #: Denials that were listed one by one, and those that were only counted.
    listed: int = 0
    counted: int = 0


@dataclass(slots=True)
class Denials:
    """Lists the first denials of a minute and counts the others, by client, address and decision."""

    _sources: dict[tuple[str, str, str], _Source] = field(default_factory=dict)
    _listed: int = 0
    #: The end of the minute, in monotonic seconds.
    _ends_at: float = 0.0

    def add(self, record: AuditRecord, now: float) -> list[AuditRecord]:
        """Return the records to store: the counts of an ended minute, then this record unless it is only counted."""
        due = self.take_counts(now)
        if not self._sources:
            self._ends_at = now + _WINDOW_S
        key: tuple[str, str, str] = (record.client, record.address, record.decision)
        if key not in self._sources and len(self._sources) >= _MAX_SOURCES:
            key, record = _FURTHER_SOURCES, msgspec.structs.replace(record, address="", client=UNAUTHENTICATED.name)
        source = self._sources.setdefault(key, _Source(record))
        source.latest = record
        if source.listed < _MAX_LISTED_OF_SOURCE and self._listed < _MAX_LISTED:
            source.listed += 1
            self._listed += 1
            return [*due, record]
        source.counted += 1
        return due

    def take_counts(self, now: float) -> list[AuditRecord]:
        """Return a record for each source with counted denials and begin again, once the minute has ended."""
        if now < self._ends_at:
            return []
        due = [_record_of_count(source) for source in self._sources.values() if source.counted]
        self._sources, self._listed = {}, 0
        return due


def _record_of_count(source: _Source) -> AuditRecord:
    return msgspec.structs.replace(
        source.latest, action=None, method="", path="", on=None, request_id=None, count=source.counted
    )


def _record_of_request(event: RequestCompleted) -> AuditRecord | None:
    decision = event.decision
    if decision == "allowed":
        if event.target is None:
            return None
        # A route may deny what the permission alone allows.
        decision = {401: "unauthenticated", 403: "denied"}.get(event.status, decision)
    elif not 400 <= event.status < 500:
        # A browser was redirected to the sign-in page, or the decision failed.
        return None
    return AuditRecord(
        at=event.at,
        client=event.client,
        address=event.address,
        action=event.action,
        method=event.method,
        path=event.path,
        on=event.target or None,
        decision=decision,  # type: ignore[arg-type] # one of the four, see `RequestRecord.decision`
        status=event.status,
        request_id=event.request_id,
    )
