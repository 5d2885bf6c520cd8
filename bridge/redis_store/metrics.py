# SPDX-License-Identifier: Apache-2.0
"""The totals in Redis: one hash. The contract is `bridge.telemetry.metrics.Totals`."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import redis

from bridge.process.background import Census
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.telemetry.metrics import Count

#: How long a report of a process counts.
_FRESH_MS = 10_000


class RedisCounterStore:
    """See `bridge.telemetry.metrics.Totals` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def add(self, counts: Mapping[Count, float]) -> None:
        """Add to the totals, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for count, number in counts.items():
            pipeline.hincrbyfloat(keys.TOTALS, "\n".join(count), number)
        with store_errors():
            pipeline.execute()

    def read(self) -> dict[Count, float]:
        """Return all totals."""
        with store_errors():
            found = self._client.hgetall(keys.TOTALS)
        return {tuple(field.decode().split("\n")): float(number) for field, number in found.items()}

    def report(self, process: str, threads: Census) -> None:
        """Keep the threads of one process. A report with other threads does not remove the last one, which is older."""
        lines = [f"{name}\t{state}\t{count}" for (name, state), count in sorted(threads.items())]
        with store_errors():
            now = self._now_ms()
            self._client.zadd(keys.THREADS, {"\n".join([process, *lines]): now})
            self._client.zremrangebyscore(keys.THREADS, "-inf", now - 2 * _FRESH_MS)

    def threads(self) -> Census:
        """Return the threads of all processes, of each process those of its latest report."""
        with store_errors():
            found = self._client.zrangebyscore(keys.THREADS, self._now_ms() - _FRESH_MS, "+inf")
        latest = dict(report.decode().partition("\n")[::2] for report in found)
        threads: Counter[tuple[str, str]] = Counter()
        for lines in latest.values():
            for name, state, count in (line.split("\t") for line in lines.splitlines()):
                threads[name, state] += int(count)
        return threads

    def _now_ms(self) -> int:
        seconds, micros = self._client.time()
        return int(seconds * 1000 + micros // 1000)
