# SPDX-License-Identifier: Apache-2.0
"""The activity of clients in Redis: pending bytes, dead letters, rate limits. The contract is `ClientActivities`."""

import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

import redis

from bridge.auth.client_activity import BucketLevel, ClientActivity
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

#: The buckets of a client's rate limits.
_USES = ("requests", "writes", "bytes")
#: For how long a count of the dead letters is used again: it reads the whole index.
_COUNT_TTL_S = 10.0
#: Lines of the index that are read at a time.
_CHUNK_LINES = 2000


class RedisClientActivities:
    """See `bridge.auth.client_activity.ClientActivities` for the promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._lock = threading.Lock()
        self._letters: Counter[str] = Counter()
        self._counted_at = float("-inf")

    def of(self, names: Collection[str]) -> dict[str, ClientActivity]:
        """Return the activity of each of these clients, in one round trip and the count of dead letters."""
        bucket_fields = [*_USES, *(f"{use}_at" for use in _USES)]
        pipeline = self._client.pipeline(transaction=False)
        for number in range(keys.PARTITIONS):
            # With "bytes", because HMGET needs a field even if there is no name.
            pipeline.hmget(keys.held(number), *(f"of:{name}" for name in names), "bytes")
        for name in names:
            pipeline.hmget(keys.rate_limits(name), *bucket_fields)
        with store_errors():
            answers = pipeline.execute()
            letters = self._letters_by_client()
        sizes_by_partition, buckets_by_client = answers[: keys.PARTITIONS], answers[keys.PARTITIONS :]
        pending = [sum(int(size or 0) for size in sizes) for sizes in zip(*sizes_by_partition, strict=True)]
        return {
            name: ClientActivity(pending_bytes=size, dead_letters=letters[name], buckets=_buckets(values))
            for name, size, values in zip(names, pending, buckets_by_client, strict=False)
        }

    def _letters_by_client(self) -> Counter[str]:
        with self._lock:
            if time.monotonic() - self._counted_at >= _COUNT_TTL_S:
                self._letters = Counter()
                for number in range(keys.PARTITIONS):
                    self._letters += self._letters_in(keys.letters(number))
                self._counted_at = time.monotonic()
            return self._letters

    def _letters_in(self, index: str) -> Counter[str]:
        counted: Counter[str] = Counter()
        begin = b"-"
        while lines := self._client.zrangebylex(index, begin, b"+", start=0, num=_CHUNK_LINES):
            counted.update(line.rpartition(b"/")[2].decode() for line in lines)
            begin = b"(" + lines[-1]
        return counted


def _buckets(values: list[bytes | None]) -> dict[str, BucketLevel]:
    """Return the level and the time (s) of each bucket that has any; ``values`` are the levels, then the times."""
    levels, times = values[: len(_USES)], values[len(_USES) :]
    return {
        use: BucketLevel(float(level), float(at))
        for use, level, at in zip(_USES, levels, times, strict=True)
        if level is not None and at is not None
    }
