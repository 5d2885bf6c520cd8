# SPDX-License-Identifier: Apache-2.0
"""The state of the whole bridge, kept for a second, so that many open consoles cost the store as much as one."""

import datetime as dt
from collections.abc import Sequence

from bridge.operations.series import SeriesStore, series_document
from bridge.operations.snapshot import Snapshot, SnapshotReader
from bridge.process.clock import Clock
from bridge.process.recent_values import RecentValues
from schemas.operations import SeriesDocument

_MAX_AGE = dt.timedelta(seconds=1)
_MAX_SERIES = 16


class RecentState:
    """Snapshot and series, at most a second old. Its readers raise ``StoreUnavailable``."""

    def __init__(self, snapshots: SnapshotReader, series: SeriesStore, clock: Clock) -> None:
        self._snapshots = snapshots
        self._series = series
        self._clock = clock
        self._recent_snapshot = RecentValues[Snapshot](clock, max_age=_MAX_AGE, max_count=1)
        self._recent_series = RecentValues[SeriesDocument](clock, max_age=_MAX_AGE, max_count=_MAX_SERIES)

    def snapshot(self) -> Snapshot:
        """Return the state of the whole bridge."""
        return self._recent_snapshot.get((), self._snapshots.read)

    def series(self, names: Sequence[str], *, minutes: int) -> SeriesDocument:
        """Return these series up to the running minute."""

        def read() -> SeriesDocument:
            return series_document(self._series, names, minutes=minutes, now=self._clock.now())

        return self._recent_series.get((*names, minutes), read)

    def forget(self) -> None:
        """Read everything again, because an operator has changed something."""
        self._recent_snapshot.forget()
        self._recent_series.forget()
