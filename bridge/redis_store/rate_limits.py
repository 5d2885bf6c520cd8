# SPDX-License-Identifier: Apache-2.0
"""The rate limits of clients in Redis, a hash each. The contract is `bridge.auth.rate_limits.RateLimitStore`."""

from collections.abc import Sequence

import redis

from bridge.auth.rate_limits import MAX_DEBT_S, WINDOW_S, Usage
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import PipelinedScript, load


class RedisRateLimitStore:
    """See `bridge.auth.rate_limits.RateLimitStore` for the promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._charge = PipelinedScript(client, load(client, "charge_rate_limit"))

    def settle(self, spent: Sequence[Usage]) -> list[dict[str, float]]:
        """Charge the usage of all clients in one round trip."""
        with store_errors():
            results = self._charge([([keys.rate_limits(usage.client)], _arguments(usage)) for usage in spent])
        # An error in the buckets of one client must not drop the results of the others.
        return [
            {} if isinstance(left, Exception) else dict(zip(usage.uses, map(float, left), strict=True))
            for usage, left in zip(spent, results, strict=True)
        ]


def _arguments(usage: Usage) -> list[str | float]:
    """Return the arguments of charge_rate_limit.lua."""
    arguments: list[str | float] = [WINDOW_S, MAX_DEBT_S]
    for bucket, (rate, units) in usage.uses.items():
        arguments += (bucket, rate, units)
    return arguments
