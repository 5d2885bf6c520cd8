# SPDX-License-Identifier: Apache-2.0
"""The counters of all processes in Redis, and their background threads. The contract is `CounterStore`."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import redis

from bridge.operations.series import MINUTE_S, minute_counts
from bridge.process.background import ThreadCounts
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.series import add_to_minute
from bridge.redis_store.timestamps import store_time_ms
from bridge.telemetry.metrics import CounterKey

#: A report of threads is valid for this time.
_REPORT_TTL_MS = 10_000


class RedisCounterStore:
    """See `bridge.telemetry.metrics.CounterStore` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def add(self, counts: Mapping[CounterKey, float]) -> None:
        """Add to the counters and to the minute, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for count, number in counts.items():
            pipeline.hincrbyfloat(keys.COUNTERS, "\n".join(count), number)
        add_to_minute(pipeline, int(time.time()) // MINUTE_S, minute_counts(counts))
        with store_errors():
            pipeline.execute()

    def read(self) -> dict[CounterKey, float]:
        """Return all counters."""
        with store_errors():
            counters = self._client.hgetall(keys.COUNTERS)
        return {tuple(field.decode().split("\n")): float(number) for field, number in counters.items()}

    def report(self, process: str, threads: ThreadCounts) -> None:
        """Store the threads of one process. An earlier report with other threads stays until it expires."""
        # A member of the set is the process, then a line for each thread: name, tab, state, tab, count.
        lines = [f"{name}\t{state}\t{count}" for (name, state), count in sorted(threads.items())]
        with store_errors():
            now = store_time_ms(self._client)
            self._client.zadd(keys.THREADS, {"\n".join([process, *lines]): now})
            self._client.zremrangebyscore(keys.THREADS, "-inf", now - 2 * _REPORT_TTL_MS)

    def threads(self) -> ThreadCounts:
        """Return the threads of all processes, each by its latest report."""
        with store_errors():
            reports = self._client.zrangebyscore(keys.THREADS, store_time_ms(self._client) - _REPORT_TTL_MS, "+inf")
        latest: dict[str, str] = {}
        for report in reports:
            # In order of time, so that a later report of the process replaces an earlier one.
            process, _, lines = report.decode().partition("\n")
            latest[process] = lines
        threads: Counter[tuple[str, str]] = Counter()
        for lines in latest.values():
            for line in lines.splitlines():
                name, state, count = line.split("\t")
                threads[name, state] += int(count)
        return threads
