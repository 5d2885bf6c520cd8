# SPDX-License-Identifier: Apache-2.0
"""Prometheus exposition: reads the gauges, and formats all metrics as text or OpenMetrics.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from bridge.errors import StoreUnavailable
from bridge.outbox import Outbox
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.metric_catalogue import CATALOGUE, Kind, Metric
from bridge.telemetry.metrics import CounterKey, CounterStore
from bridge.upstream.flow_control import FlowControl

#: The values of each gauge by its label values.
Gauges = Mapping[Metric, Mapping[tuple[str, ...], float]]

_BREAKER_STATES = ("closed", "open", "half-open")
_COUNTERS = tuple(metric for metric in CATALOGUE if metric.kind is Kind.COUNTER)

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_Values = Mapping[tuple[str, ...], float]


def read_gauges(outbox: Outbox, flow_control: FlowControl, counters: CounterStore, *, now: dt.datetime) -> Gauges:
    """Return every gauge, or only ``store_up`` if the store does not respond."""
    try:
        backlog, workers, state, durability = (
            outbox.backlog(),
            outbox.workers(),
            flow_control.state(),
            outbox.durability(),
        )
        threads = counters.threads()
    except StoreUnavailable:
        return {catalogue.STORE_UP: {(): 0.0}}
    values = {
        catalogue.STORE_UP: 1.0,
        catalogue.STORE_DURABILITY_PROBLEMS: float(len(durability.faults)),
        catalogue.BACKLOG_LANES: float(backlog.lanes),
        catalogue.BACKLOG_BYTES: float(backlog.bytes),
        catalogue.DEAD_LETTERS: float(backlog.dead_letters),
        # In a pause no worker delivers, so no lane counts as due.
        catalogue.OLDEST_DUE_SECONDS: 0.0 if state.paused else _age(backlog.oldest_due, now),
        catalogue.OLDEST_PENDING_SECONDS: _age(backlog.oldest_accepted_at, now),
        catalogue.DELIVERIES_PAUSED: float(state.paused is not None),
        catalogue.LAST_DELIVERY: state.delivered_at.timestamp() if state.delivered_at else 0.0,
        catalogue.WORKERS: float(workers),
        catalogue.CALL_RATE: float("inf") if state.rate is None else state.rate,
        catalogue.UPSTREAM_RATE_LIMIT_TOKENS: float("inf") if state.bucket is None else state.bucket,
    }
    gauges: dict[Metric, Mapping[tuple[str, ...], float]] = {metric: {(): value} for metric, value in values.items()}
    gauges[catalogue.CIRCUIT_BREAKER_STATE] = {(name,): float(name == state.breaker) for name in _BREAKER_STATES}
    # Both states of each thread, so that an alert on ``dead`` always has a series.
    gauges[catalogue.THREADS] = {
        (name, state): float(threads.get((name, state), 0)) for name, _ in threads for state in ("alive", "dead")
    }
    return gauges


def expose(counters: Mapping[CounterKey, float] | None, gauges: Gauges, *, accept: str) -> tuple[bytes, str]:
    """Return all metrics in the format that the ``Accept`` header requests, and the content type.

    Without ``counters`` no counter is exposed: counters at 0 would look like a reset.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(counters, gauges))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _age(since: dt.datetime | None, now: dt.datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


class _Collector(Collector):
    """A collector over given values, for prometheus_client."""

    def __init__(self, counters: Mapping[CounterKey, float] | None, gauges: Gauges) -> None:
        #: The values of each counter and histogram, by its label values.
        self._by_name: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for metric in _COUNTERS if counters is not None else ():
            # Exposed from the start, so that the first increase is seen as one.
            self._by_name[metric.name] = {(value,): 0.0 for value in metric.known} if metric.labels else {(): 0.0}
        for (name, *labels), number in (counters or {}).items():
            self._by_name[name][tuple(labels)] = number
        self._gauges = gauges

    def collect(self) -> Iterator[_Family]:
        for metric in CATALOGUE:
            match metric.kind:
                case Kind.GAUGE:
                    yield _gauge(metric, self._gauges.get(metric, {}))
                case Kind.COUNTER:
                    yield _counter(metric, self._by_name[metric.name])
                case Kind.HISTOGRAM:
                    yield _histogram(metric, self._by_name[metric.name])


def _gauge(metric: Metric, values: _Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.about, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _counter(metric: Metric, values: _Values) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name, metric.about, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, values: _Values) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.about, labels=metric.labels)
    # By label values: the count of each bucket, by its number, and the sum of the values.
    parts: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (*labels, part), value in values.items():
        parts[tuple(labels)][part] = value
    bounds = [*(f"{bound:g}" for bound in metric.bounds), "+Inf"]
    for label_values, counts in parts.items():
        # Prometheus' buckets are cumulative, the stored ones are not.
        cumulative = accumulate(counts.get(str(number), 0.0) for number in range(len(bounds)))
        buckets = list(zip(bounds, cumulative, strict=True))
        family.add_metric(label_values, buckets=buckets, sum_value=counts.get("sum", 0.0))
    return family
