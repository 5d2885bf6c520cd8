# SPDX-License-Identifier: Apache-2.0
"""The usage of clients in Redis: a hash for each client and hour, and one for each client and day.

The contract is `bridge.telemetry.usage.UsageStore`. A hash per client is short, so that the store keeps it compact.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.telemetry.usage import Account, Counts
from schemas.usage import UsagePeriod

#: How long the counts of a period are kept after its begin: for 192 hours, and for 396 days (13 months).
_RETENTION = {
    UsagePeriod.HOUR: dt.timedelta(days=8, hours=1),
    UsagePeriod.DAY: dt.timedelta(days=397),
}
#: Hashes that are read with one round trip.
_HASHES_AT_A_TIME = 5_000


class RedisUsageStore:
    """See `bridge.telemetry.usage.UsageStore` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def add(self, usage: Mapping[Account, Counts]) -> None:
        """Add the counts, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for (hour, client), counts in usage.items():
            for period in UsagePeriod:
                begin = period.begin(hour)
                key = keys.usage(period, begin, client)
                for name, number in counts.items():
                    pipeline.hincrby(key, name, number)
                pipeline.expireat(key, begin + _RETENTION[period])
            pipeline.zadd(keys.USAGE_CLIENTS, {client: hour.timestamp()}, gt=True)
        latest = max(hour for hour, _ in usage)
        oldest_kept = latest - _RETENTION[UsagePeriod.DAY]
        pipeline.zremrangebyscore(keys.USAGE_CLIENTS, "-inf", oldest_kept.timestamp())
        with store_errors():
            pipeline.execute()

    def clients(self, since: dt.datetime) -> list[str]:
        """Return the clients that have made a request since then."""
        # The index has only the hour of the latest request, so the hour that `since` lies in is included.
        begin = UsagePeriod.HOUR.begin(since)
        with store_errors():
            names = self._client.zrangebyscore(keys.USAGE_CLIENTS, begin.timestamp(), "+inf")
        return sorted(name.decode() for name in names)

    def read(
        self, clients: Sequence[str], period: UsagePeriod, begins: Sequence[dt.datetime]
    ) -> dict[str, dict[dt.datetime, Counts]]:
        """Return the counts by client and begin, in one round trip for some thousand hashes."""
        usage: dict[str, dict[dt.datetime, Counts]] = {client: {} for client in clients}
        for accounts in _batches(list(product(clients, begins))):
            pipeline = self._client.pipeline(transaction=False)
            for client, begin in accounts:
                pipeline.hgetall(keys.usage(period, begin, client))
            with store_errors():
                hashes = pipeline.execute()
            for (client, begin), counts in zip(accounts, hashes, strict=True):
                if counts:
                    usage[client][begin] = {name.decode(): int(number) for name, number in counts.items()}
        return usage

    def tokens(self, client: str, day: dt.datetime) -> int:
        """Return the tokens of a day, with one command."""
        key = keys.usage(UsagePeriod.DAY, day, client)
        with store_errors():
            numbers = self._client.hmget(key, "prompt_tokens", "completion_tokens")
        return sum(int(number or 0) for number in numbers)


def _batches(accounts: list[tuple[str, dt.datetime]]) -> Iterator[list[tuple[str, dt.datetime]]]:
    for first in range(0, len(accounts), _HASHES_AT_A_TIME):
        yield accounts[first : first + _HASHES_AT_A_TIME]
