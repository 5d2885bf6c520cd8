# SPDX-License-Identifier: Apache-2.0
"""Metrics for Amazon CloudWatch: a log line a minute in the Embedded Metric Format, from which CloudWatch takes them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
One process of an installation writes the line of a minute. While the store is down, the processes can't agree on one,
so each of them reports ``store_up`` 0.
"""

import datetime as dt
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.errors import StoreUnavailable
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.metric_catalogue import Metric
from bridge.telemetry.metrics import CounterKey
from bridge.telemetry.prometheus import Gauges

#: The only dimension, and its value.
DIMENSION, SERVICE = "service", "mlflow-bridge"
#: The counters in each log line: their increase since the line before, summed over their labels.
COUNTERS = (
    catalogue.WRITES_ACCEPTED,
    catalogue.WRITES_DELIVERED,
    catalogue.WRITES_DEAD_LETTERED,
    catalogue.LANES_DENIED,
    catalogue.DISPATCH_FAILURES,
    catalogue.DELIVERY_ERRORS,
    catalogue.THREAD_FAILURES,
)

_PREFIX, _COUNTER_SUFFIX = "mlflow_bridge_", "_total"
_MINUTE_S = 60

# Its level does not follow BRIDGE_LOG_LEVEL: another setting turns the log line on.
_LOG = logging.getLogger(__name__)


class MinuteReports(Protocol):
    """Lets one process of an installation write the log line of a minute. Every method raises ``StoreUnavailable``."""

    def claim(self, minute: int) -> bool:
        """Return whether this process writes the line of this minute since the epoch."""
        ...

    def exchange(self, totals: Mapping[str, float]) -> dict[str, float] | None:
        """Store the totals of this line and return those of the last one, None if there was none."""
        ...


class EmbeddedMetrics:
    """Writes one log line a minute, from which CloudWatch takes the metrics."""

    def __init__(
        self,
        namespace: str,
        reports: MinuteReports,
        *,
        read_gauges: Callable[[], Gauges],
        read_counters: Callable[[], Mapping[CounterKey, float]],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._namespace = namespace
        self._reports = reports
        self._read_gauges = read_gauges
        self._read_counters = read_counters
        self._now = now
        self._last_minute = -1
        _LOG.setLevel(logging.INFO)

    def tick(self) -> None:
        """Write the line of this minute unless it is written. To be called several times a minute."""
        now = self._now()
        minute = int(now.timestamp()) // _MINUTE_S
        if minute == self._last_minute:
            return
        self._last_minute = minute
        try:
            if not self._reports.claim(minute):
                return
            values = {**_gauge_values(self._read_gauges()), **self._increases()}
        except StoreUnavailable:
            values = _gauge_values({catalogue.STORE_UP: {(): 0.0}})
        _LOG.info("metrics", extra={"fields": _document(self._namespace, values, now)})

    def _increases(self) -> dict[str, float]:
        """Return the increase of each counter since the last line; none if there was no line before."""
        totals = dict.fromkeys((_name(metric) for metric in COUNTERS), 0.0)
        names = {metric.name: _name(metric) for metric in COUNTERS}
        for (name, *_labels), number in self._read_counters().items():
            if name in names:
                totals[names[name]] += number
        earlier = self._reports.exchange(totals)
        if earlier is None:
            return {}
        return {name: max(0.0, total - earlier.get(name, 0.0)) for name, total in totals.items()}


def _gauge_values(gauges: Gauges) -> dict[str, float]:
    """Return the gauges without labels. CloudWatch takes no infinite values."""
    values = {_name(metric): labelled[()] for metric, labelled in gauges.items() if () in labelled}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _name(metric: Metric) -> str:
    return metric.name.removeprefix(_PREFIX).removesuffix(_COUNTER_SUFFIX)


def _document(namespace: str, values: Mapping[str, float], now: dt.datetime) -> dict[str, Any]:
    directive = {
        "Namespace": namespace,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": _unit(name)} for name in values],
    }
    metadata = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": metadata, DIMENSION: SERVICE, **values}


def _unit(name: str) -> str:
    if name.endswith("_seconds"):
        return "Seconds"
    return "Bytes" if name.endswith("_bytes") else "Count"
