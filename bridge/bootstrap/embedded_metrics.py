# SPDX-License-Identifier: Apache-2.0
"""Builds the writer of metrics for Amazon CloudWatch, which an api process starts."""

import datetime as dt

from bridge.bootstrap.processes import Api
from bridge.process.background import BackgroundThread
from bridge.redis_store.minute_reports import RedisMinuteReports
from bridge.redis_store.outbox import connect
from bridge.telemetry.embedded_metrics import EmbeddedMetrics
from bridge.telemetry.prometheus import read_gauges

_STORE_TIMEOUT = dt.timedelta(seconds=5)
#: The line of a minute is written within this time after the minute has begun.
_TICK_INTERVAL_S = 5.0


def start_embedded_metrics(bridge: Api) -> None:
    """Start to write metrics to the log if ``BRIDGE_EMF_NAMESPACE`` is set."""
    namespace = bridge.settings.emf_namespace
    if namespace is None:
        return
    metrics = EmbeddedMetrics(
        namespace,
        RedisMinuteReports(connect(bridge.settings.store_url, timeout=_STORE_TIMEOUT, connections=2)),
        read_gauges=lambda: read_gauges(
            bridge.outbox, bridge.flow_control, bridge.operations.counters, now=bridge.clock.now()
        ),
        read_counters=bridge.operations.counters.read,
        now=bridge.clock.now,
    )
    BackgroundThread("embedded-metrics", metrics.tick, interval_s=_TICK_INTERVAL_S, observe=bridge.observe).start()
