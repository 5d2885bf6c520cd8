# SPDX-License-Identifier: Apache-2.0
"""Lets one process a minute write the metrics of all to its log. The contract is `MinuteReports`."""

import json
from collections.abc import Mapping
from typing import Any

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

#: Longer than the clocks of two hosts may differ.
_CLAIM_TTL_S = 3600


class RedisMinuteReports:
    """See `bridge.telemetry.embedded_metrics.MinuteReports` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def claim(self, minute: int) -> bool:
        """Return whether this process is the first one in this minute."""
        with store_errors():
            return bool(self._client.set(keys.metrics_minute(minute), b"1", nx=True, ex=_CLAIM_TTL_S))

    def exchange(self, totals: Mapping[str, float]) -> dict[str, float] | None:
        """Store the totals and return the earlier ones."""
        with store_errors():
            earlier: bytes | None = self._client.set(keys.METRICS_TOTALS, json.dumps(totals), get=True)
        return json.loads(earlier) if earlier else None
