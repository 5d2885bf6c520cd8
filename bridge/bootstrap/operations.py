# SPDX-License-Identifier: Apache-2.0
"""Builds the readers of the bridge's state for operators, and the flow control of upstream."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from redis import Redis

from bridge.config.settings import Settings
from bridge.operations.lanes import Lanes
from bridge.operations.series import SeriesStore, sample_gauges
from bridge.operations.snapshot import SnapshotReader
from bridge.process.clock import Clock
from bridge.redis_store.call_log import RedisCallLog
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.lanes import RedisLanes
from bridge.redis_store.metrics import RedisCounterStore
from bridge.redis_store.series import RedisSeries
from bridge.redis_store.snapshot import RedisSnapshots
from bridge.telemetry.call_log import CallLog
from bridge.telemetry.metrics import CounterStore
from bridge.upstream.identity import identity_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The readers of the bridge's state, for operators."""

    counters: CounterStore
    snapshots: SnapshotReader
    series: SeriesStore
    lanes: Lanes
    call_log: CallLog
    #: Measures the gauges of the series, unless another process has just done so.
    sample_gauges: Callable[[], None]


def build_operations(settings: Settings, client: Redis, clock: Clock) -> Operations:
    """Return the readers of the bridge's state, for operators."""
    snapshots, series = RedisSnapshots(client, build_flow_control(settings, client)), RedisSeries(client)
    return Operations(
        counters=RedisCounterStore(client),
        snapshots=snapshots,
        series=series,
        lanes=RedisLanes(client),
        call_log=RedisCallLog(client, identity_of(settings.upstream).id, clock.now),
        sample_gauges=partial(sample_gauges, series, snapshots, clock),
    )


def build_flow_control(settings: Settings, client: Redis) -> RedisFlowControl:
    """Return the flow control of upstream: rate limiter, circuit breaker and pause."""
    return RedisFlowControl(
        client,
        settings.upstream,
        rate=settings.calls_per_second,
        burst=settings.upstream_burst,
        probe=settings.lease,
    )
