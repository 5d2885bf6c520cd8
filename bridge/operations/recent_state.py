# SPDX-License-Identifier: Apache-2.0
"""The state of the whole bridge, kept for a second, so that many open consoles cost the store as much as one."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from bridge.operations.series import SeriesStore, series_document
from bridge.operations.snapshot import Snapshot, SnapshotReader
from bridge.process.clock import Clock
from schemas.operations import SeriesDocument

T = TypeVar("T")

#: From the moment at which the store is asked.
_MAX_AGE = dt.timedelta(seconds=1)
_MAX_CACHED = 16


class RecentState:
    """Snapshot and series, at most a second old. Every method raises ``StoreUnavailable``."""

    def __init__(self, snapshots: SnapshotReader, series: SeriesStore, clock: Clock) -> None:
        self._snapshots = snapshots
        self._series = series
        self._clock = clock
        #: What was read, and when its reading began; what was added first is removed first. Replaced by `forget`.
        self._cached: OrderedDict[Hashable, tuple[dt.timedelta, object]] = OrderedDict()

    def snapshot(self) -> Snapshot:
        """Return the state of the whole bridge."""
        return self._recent("snapshot", self._snapshots.read)

    def series(self, names: Sequence[str], *, minutes: int) -> SeriesDocument:
        """Return these series up to the running minute."""

        def read() -> SeriesDocument:
            return series_document(self._series, names, minutes=minutes, now=self._clock.now())

        return self._recent((*names, minutes), read)

    def forget(self) -> None:
        """Read everything again, because an operator has changed something. What is being read now is not kept."""
        self._cached = OrderedDict()

    def _recent(self, key: Hashable, read: Callable[[], T]) -> T:
        # One look-up in one dictionary: other threads may remove the entry or replace the dictionary at any time.
        cached, now = self._cached, self._clock.monotonic()
        if found := cached.get(key):
            began_at, value = found
            if now - began_at < _MAX_AGE:
                return value  # type: ignore[return-value] # each key has values of one type
        value = read()
        cached[key] = (now, value)
        while len(cached) > _MAX_CACHED:
            cached.popitem(last=False)
        return value
