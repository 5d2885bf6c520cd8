# SPDX-License-Identifier: Apache-2.0
"""The totals in Redis: one hash. The contract is `bridge.totals.Totals`."""

from collections.abc import Mapping
from typing import Any

import redis

from bridge.redis_outbox import keys
from bridge.redis_outbox.client import store_errors
from bridge.totals import Count


class RedisTotals:
    """See `bridge.totals.Totals` for the promises."""

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
