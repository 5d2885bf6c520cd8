# SPDX-License-Identifier: Apache-2.0
"""Usage of each client: a process counts its completed requests, and adds the counts to the store in the background.

A process that is killed loses the counts of its last two seconds. A count may be doubled if the store fails while it is
added: the process can't know whether it was.
"""

import datetime as dt
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from bridge.errors import StoreUnavailable
from bridge.events import Event, Observer, RequestCompleted
from bridge.process.background import BackgroundThread
from schemas.client import UNAUTHENTICATED
from schemas.usage import OTHER_ENDPOINT, UsagePeriod, field_of

#: The hour (its beginning) and the client of counts.
Account = tuple[dt.datetime, str]
#: Numbers by the fields of `schemas.usage.UsageTotal`; those of endpoints by `schemas.usage.field_of`.
Counts = Mapping[str, int]

_FLUSH_INTERVAL_S = 2.0
#: Further endpoints of a client are counted together. The process forgets their names each hour.
_MAX_ENDPOINTS_OF_CLIENT = 100


class UsageStore(Protocol):
    """The usage of all clients: by hour for eight days, by day for thirteen months. All raise ``StoreUnavailable``."""

    def add(self, usage: Mapping[Account, Counts]) -> None:
        """Add counts to those of all processes."""
        ...

    def clients(self, since: dt.datetime) -> list[str]:
        """Return the names of the clients with any usage since then, in order."""
        ...

    def read(
        self, clients: Sequence[str], period: UsagePeriod, begins: Sequence[dt.datetime]
    ) -> dict[str, dict[dt.datetime, Counts]]:
        """Return the counts of each client in the hours or days that begin then, without those that have none."""
        ...

    def tokens(self, client: str, day: dt.datetime) -> int:
        """Return the tokens of a client in the day that begins then, of prompts and completions together."""
        ...


class UsageMeter:
    """Counts completed requests, see `bridge.events.Observer`."""

    def __init__(self, store: UsageStore, *, observe: Observer | None = None) -> None:
        """``observe`` receives the failures of the meter's own thread."""
        self._store = store
        self._counts: defaultdict[Account, defaultdict[str, int]] = defaultdict(_new_counts)
        self._counts_lock = threading.Lock()
        self._flush_lock = threading.Lock()
        #: The endpoints that each client has used in this hour.
        self._endpoints: defaultdict[str, set[str]] = defaultdict(set)
        self._endpoints_hour: dt.datetime | None = None
        self._thread = BackgroundThread(
            "usage", self.flush, runs_on_call=True, interval_s=_FLUSH_INTERVAL_S, observe=observe
        )

    def count_all(self, events: Sequence[Event]) -> None:
        """Count many events."""
        completed = [event for event in events if isinstance(event, RequestCompleted) and _has_client(event)]
        if not completed:
            return
        with self._counts_lock:
            for event in completed:
                self._count(event)
        self._thread.call()

    def flush(self) -> None:
        """Add the counts to those in the store. On failure they are kept for the next flush."""
        with self._flush_lock:
            with self._counts_lock:
                counts, self._counts = self._counts, defaultdict(_new_counts)
            if not counts:
                return
            try:
                self._store.add(counts)
            except StoreUnavailable:
                self._restore(counts)
                self._thread.call()
            except BaseException:
                self._restore(counts)
                raise

    def _restore(self, counts: Mapping[Account, Counts]) -> None:
        with self._counts_lock:
            for account, numbers in counts.items():
                for name, number in numbers.items():
                    self._counts[account][name] += number

    def _count(self, event: RequestCompleted) -> None:
        hour = UsagePeriod.HOUR.begin(event.at)
        counts = self._counts[hour, event.client]
        for name, number in (*_counts_of(event), *self._endpoint_counts(event, hour)):
            if number:
                counts[name] += number

    def _endpoint_counts(self, event: RequestCompleted, hour: dt.datetime) -> Iterator[tuple[str, int]]:
        """Yield the counts of the endpoint of MLflow's AI Gateway that a request has called."""
        call = event.gateway
        if call is None:
            return
        if hour != self._endpoints_hour:
            self._endpoints.clear()
            self._endpoints_hour = hour
        known = self._endpoints[event.client]
        if len(known) < _MAX_ENDPOINTS_OF_CLIENT:
            known.add(call.endpoint)
        endpoint = call.endpoint if call.endpoint in known else OTHER_ENDPOINT
        for name, number in (
            ("requests", 1),
            ("prompt_tokens", call.prompt_tokens),
            ("completion_tokens", call.completion_tokens),
        ):
            yield field_of(name, endpoint), number


def _new_counts() -> defaultdict[str, int]:
    return defaultdict(int)


def _has_client(event: RequestCompleted) -> bool:
    """Return whether a request counts as usage. Public requests, such as probes and the portal's files, do not."""
    return event.client != UNAUTHENTICATED.name or event.decision != "allowed"


def _counts_of(event: RequestCompleted) -> Iterator[tuple[str, int]]:
    """Yield the counts of a request by the fields of `schemas.usage.UsageTotal`."""
    yield "requests", 1
    yield "writes", 0 if event.replayed else event.writes
    yield "bytes", event.bytes
    yield "denied", event.decision == "denied"
    yield "limited", event.decision == "rate_limited"
    yield "refused", event.decision == "allowed" and event.route == "queued" and event.status >= 400
    if event.gateway:
        yield "prompt_tokens", event.gateway.prompt_tokens
        yield "completion_tokens", event.gateway.completion_tokens
