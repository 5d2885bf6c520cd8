# SPDX-License-Identifier: Apache-2.0
"""Series: counters and gauges of the bridge, minute by minute, for three hours.

Each process adds its counts to the minute in which it flushes them, by its own clock.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from bridge.errors import StoreUnavailable
from bridge.operations.snapshot import Minute, Snapshot, SnapshotReader
from bridge.process.clock import Clock
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.metric_catalogue import Metric
from bridge.telemetry.metrics import CounterKey
from schemas.operations import Series, SeriesDocument

MINUTE_S = 60
#: How long a minute is kept.
RETENTION = dt.timedelta(hours=3, minutes=5)
#: How often the gauges are measured, by one process of the installation.
SAMPLE_INTERVAL = dt.timedelta(seconds=10)

OLDEST_PENDING, BREAKER_OPEN, PENDING_WRITES = "oldest_pending_seconds", "breaker_open", "pending_writes"
_GAUGES = (OLDEST_PENDING, BREAKER_OPEN, PENDING_WRITES)
_HISTOGRAM = catalogue.DELIVERY_LAG_SECONDS
#: Between the name of the histogram and the number of a bucket.
_SEPARATOR = "\n"


def _series_name(metric: Metric) -> str:
    return metric.name.removeprefix("mlflow_bridge_").removesuffix("_total")


ACCEPTED, DELIVERED, BURIED = map(
    _series_name, (catalogue.WRITES_ACCEPTED, catalogue.WRITES_DELIVERED, catalogue.WRITES_DEAD_LETTERED)
)
REFUSED, WITHOUT_ROOM = map(_series_name, (catalogue.WRITES_REFUSED, catalogue.WRITES_WITHOUT_ROOM))
CALLS, DENIED = map(_series_name, (catalogue.UPSTREAM_CALLS, catalogue.LANES_DENIED))
LAG = _series_name(_HISTOGRAM)
#: The counters that have a series, by their names in the catalogue. Their labels are summed up.
_COUNTERS = {
    metric.name: _series_name(metric)
    for metric in (
        catalogue.REQUESTS,
        catalogue.REQUESTS_REJECTED,
        catalogue.WRITES_ACCEPTED,
        catalogue.WRITES_REFUSED,
        catalogue.WRITES_WITHOUT_ROOM,
        catalogue.WRITES_DELIVERED,
        catalogue.WRITES_DEAD_LETTERED,
        catalogue.UPSTREAM_CALLS,
        catalogue.LANES_DEFERRED,
        catalogue.LANES_DENIED,
        catalogue.DEAD_LETTERS_DRAINED,
    )
}
#: The names of all series.
NAMES = (*_COUNTERS.values(), LAG, *_GAUGES)


class SeriesStore(Protocol):
    """The minutes of all processes. Every method raises ``StoreUnavailable``."""

    def read(self, first: int, count: int) -> list[Minute]:
        """Return ``count`` minutes since the epoch, from ``first`` on; an empty one where nothing was noted."""
        ...

    def claim_sample(self) -> bool:
        """Return whether this process measures the gauges now. One does within `SAMPLE_INTERVAL`."""
        ...

    def note(self, minute: int, values: Mapping[str, float], *, only_first: Mapping[str, float]) -> None:
        """Note the gauges of a minute; of ``only_first`` those that have no value yet."""
        ...


def minute_of(moment: dt.datetime) -> int:
    """Return the minute since the epoch."""
    return int(moment.timestamp()) // MINUTE_S


def minute_counts(counts: Mapping[CounterKey, float]) -> dict[str, float]:
    """Return the counts that have a series, by their name in a `Minute`."""
    minute: defaultdict[str, float] = defaultdict(float)
    for (name, *labels), number in counts.items():
        if name in _COUNTERS:
            minute[_COUNTERS[name]] += number
        # The last label of a histogram is a bucket's number, or ``sum``.
        elif name == _HISTOGRAM.name and labels[-1] != "sum":
            minute[f"{LAG}{_SEPARATOR}{labels[-1]}"] += number
    return minute


def lag_quantile(minutes: Iterable[tuple[Minute, float]], share: float) -> float | None:
    """Return the delivery lag that this share of the calls stays below, over minutes with their weights.

    Like Prometheus' ``histogram_quantile``: within a bucket, values are assumed to be spread evenly.
    """
    counts = [0.0] * (len(_HISTOGRAM.bounds) + 1)
    for minute, weight in minutes:
        for bucket in range(len(counts)):
            counts[bucket] += weight * minute.get(f"{LAG}{_SEPARATOR}{bucket}", 0.0)
    rank = share * sum(counts)
    if not rank:
        return None
    lower = 0.0
    for bound, count in zip(_HISTOGRAM.bounds, counts, strict=False):
        if count and rank <= count:
            return round(lower + (bound - lower) * rank / count, 3)
        rank, lower = rank - count, bound
    return lower


def series_document(store: SeriesStore, names: Sequence[str], *, minutes: int, now: dt.datetime) -> SeriesDocument:
    """Return these series up to the running minute."""
    first = minute_of(now) - minutes + 1
    read_minutes = store.read(first, minutes)
    return SeriesDocument(
        step=MINUTE_S,
        begin=dt.datetime.fromtimestamp(first * MINUTE_S, dt.UTC),
        partial=True,
        series={name: _series(name, read_minutes) for name in names},
    )


def _series(name: str, minutes: Sequence[Minute]) -> Series:
    if name == LAG:
        p50, p95 = ([lag_quantile([(minute, 1)], share) for minute in minutes] for share in (0.5, 0.95))
        return Series(kind="histogram", p50=p50, p95=p95)
    if name in _GAUGES:
        return Series(kind="gauge", values=[minute.get(name) for minute in minutes])
    # A minute in which no process noted anything is unknown, and not 0.
    return Series(kind="counter", values=[minute.get(name, 0.0) if minute else None for minute in minutes])


def note_gauges(store: SeriesStore, snapshot: Snapshot, *, now: dt.datetime) -> None:
    """Note the gauges of a minute. The breaker counts as open in a minute in which it was so at any measurement."""
    oldest = snapshot.oldest_accepted_at
    values = {OLDEST_PENDING: max(0.0, (snapshot.at - oldest).total_seconds()) if oldest else 0.0}
    if snapshot.writes is not None:
        values[PENDING_WRITES] = float(snapshot.writes)
    # A later measurement of a closed breaker must not replace the 1 of an earlier one.
    only_first: dict[str, float] = {}
    if snapshot.flow_control.breaker == "closed":
        only_first[BREAKER_OPEN] = 0.0
    else:
        values[BREAKER_OPEN] = 1.0
    store.note(minute_of(now), values, only_first=only_first)


def sample_gauges(store: SeriesStore, snapshots: SnapshotReader, clock: Clock) -> None:
    """Measure the gauges, unless another process has just done so. Without the store there is nothing to measure."""
    with suppress(StoreUnavailable):
        if store.claim_sample():
            note_gauges(store, snapshots.read(), now=clock.now())
