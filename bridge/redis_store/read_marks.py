# SPDX-License-Identifier: Apache-2.0
"""The marks of reads in Redis. settle.lua numbers the settlements; each proxied change is counted here."""

from typing import Any

import redis

from bridge.outbox.read_marks import ReadMarks
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

#: As many clients as settle.lua keeps in each partition, with their last settlements.
REMEMBERED_CLIENTS = 16


class RedisReadMarks:
    """See `bridge.outbox.read_marks.ReadMarkStore` for every promise."""

    def __init__(self, client: redis.Redis, fast_client: redis.Redis) -> None:
        """``fast_client`` gives up soon enough to be used on the event loop."""
        self._client: Any = client
        self._fast_client: Any = fast_client

    def read(self, client: str | None) -> ReadMarks:
        """Return the current marks in one round trip."""
        with store_errors():
            if client is None:
                return ReadMarks(int(self._fast_client.get(keys.CHANGES) or 0))
            pipeline = self._fast_client.pipeline(transaction=False)
            pipeline.get(keys.CHANGES)
            for number in range(keys.PARTITIONS):
                pipeline.zrange(keys.deliveries(number), 0, -1, withscores=True)
            changes, *deliveries = pipeline.execute()
        name = client.encode()
        settled = tuple(int(found[-1][1]) if found else 0 for found in deliveries)
        return ReadMarks(int(changes or 0), settled, tuple(_of_client(found, name) for found in deliveries))

    def note_change(self) -> None:
        """Count a change."""
        with store_errors():
            self._client.incr(keys.CHANGES)


def _of_client(deliveries: list[tuple[bytes, float]], name: bytes) -> int:
    """Return the number of a client's last settlement, or of a later one if the client is no longer remembered."""
    for client, number in deliveries:
        if client == name:
            return int(number)
    return int(deliveries[0][1]) if len(deliveries) >= REMEMBERED_CLIENTS else 0
