# SPDX-License-Identifier: Apache-2.0
"""The minutes of all processes in Redis, a hash each. The contract is `bridge.operations.series.SeriesStore`."""

from collections.abc import Mapping
from typing import Any

import redis

from bridge.operations.series import RETENTION, SAMPLE_INTERVAL
from bridge.operations.snapshot import Minute
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.timestamps import to_ms

_RETENTION_S = int(RETENTION.total_seconds())
#: A little less than the interval, so that the next measurement does not fall into the guard of this one.
_GUARD_MS = to_ms(SAMPLE_INTERVAL) * 9 // 10


class RedisSeries:
    """See `bridge.operations.series.SeriesStore` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def read(self, first: int, count: int) -> list[Minute]:
        """Return minutes, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for minute in range(first, first + count):
            pipeline.hgetall(keys.series_minute(minute))
        with store_errors():
            return [read_minute(fields) for fields in pipeline.execute()]

    def claim_sample(self) -> bool:
        """Return whether no process has measured recently."""
        with store_errors():
            return bool(self._client.set(keys.SERIES_GUARD, b"1", nx=True, px=_GUARD_MS))

    def note(self, minute: int, values: Mapping[str, float], *, only_first: Mapping[str, float]) -> None:
        """Store the gauges of a minute. One of ``only_first`` that has a value keeps it."""
        pipeline, key = self._client.pipeline(transaction=False), keys.series_minute(minute)
        pipeline.hset(key, mapping=dict(values))
        for name, value in only_first.items():
            pipeline.hsetnx(key, name, value)
        pipeline.expire(key, _RETENTION_S)
        with store_errors():
            pipeline.execute()


def add_to_minute(pipeline: Any, minute: int, counts: Mapping[str, float]) -> None:  # noqa: ANN401 - see RedisOutbox
    """Add counts to a minute, as a part of this pipeline."""
    key = keys.series_minute(minute)
    for name, number in counts.items():
        pipeline.hincrbyfloat(key, name, number)
    if counts:
        pipeline.expire(key, _RETENTION_S)


def read_minute(fields: Mapping[bytes, bytes]) -> Minute:
    """Return a minute as it is stored."""
    return {name.decode(): float(number) for name, number in fields.items()}
