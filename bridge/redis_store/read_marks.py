# SPDX-License-Identifier: Apache-2.0
"""The marks of reads in Redis. The contract is `bridge.outbox.read_marks.ReadMarkStore`.

settle.lua numbers the settlements of a partition; each proxied change is counted here.
"""

from typing import Any

import redis

from bridge.outbox.read_marks import ReadMarks
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

#: The number of clients of which settle.lua keeps the last settlement in each partition.
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
        settled = tuple(int(numbers[-1][1]) if numbers else 0 for numbers in deliveries)
        settled_of_client = tuple(_last_settlement(numbers, name) for numbers in deliveries)
        return ReadMarks(int(changes or 0), settled, settled_of_client)

    def note_change(self) -> None:
        """Count a change."""
        with store_errors():
            self._client.incr(keys.CHANGES)


def _last_settlement(numbers: list[tuple[bytes, float]], name: bytes) -> int:
    """Return the number of a client's last settlement, or of a later one if the client is no longer remembered.

    ``numbers`` are the clients of a partition with the numbers of their last settlements, the lowest first.
    """
    for client, number in numbers:
        if client == name:
            return int(number)
    return int(numbers[0][1]) if len(numbers) >= REMEMBERED_CLIENTS else 0
