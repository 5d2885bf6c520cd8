# SPDX-License-Identifier: Apache-2.0
"""Metrics as Prometheus reads them (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from bridge.telemetry.catalogue import CATALOGUE, Kind, Metric
from bridge.telemetry.gauges import Gauges
from bridge.totals import Count

_COUNTERS = tuple(metric for metric in CATALOGUE if metric.kind is Kind.COUNTER)
_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_Values = Mapping[tuple[str, ...], float]


def expose(totals: Mapping[Count, float] | None, gauges: Gauges, *, accept: str) -> tuple[bytes, str]:
    """Return the text of all metrics in the form that the ``Accept`` header asks for, and its content type.

    Without totals nothing is told of what was counted: counters at 0 would look like ones that began anew.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(totals, gauges))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected(Collector):
    """What the library asks for the families."""

    def __init__(self, totals: Mapping[Count, float] | None, gauges: Gauges) -> None:
        self._by_name: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for metric in _COUNTERS if totals is not None else ():
            # There from the beginning, so that a first increase is seen as one.
            self._by_name[metric.name] = {(value,): 0.0 for value in metric.known} if metric.labels else {(): 0.0}
        for (name, *rest), number in (totals or {}).items():
            self._by_name[name][tuple(rest)] = number
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
    parts: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (*labels, part), value in values.items():
        parts[tuple(labels)][part] = value
    bounds = [*(f"{bound:g}" for bound in metric.bounds), "+Inf"]
    for of, counts in parts.items():
        sums = accumulate(counts.get(str(number), 0.0) for number in range(len(bounds)))
        family.add_metric(of, buckets=list(zip(bounds, sums, strict=True)), sum_value=counts.get("sum", 0.0))
    return family
