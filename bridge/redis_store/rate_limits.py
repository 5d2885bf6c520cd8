# SPDX-License-Identifier: Apache-2.0
"""The ledger of quotas in Redis: a hash a client. The contract is `bridge.auth.rate_limits.Ledger`."""

from collections.abc import Sequence

import redis

from bridge.auth.rate_limits import MAX_DEBT_S, WINDOW_S, Usage
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import PipelinedScript, load


class RedisRateLimitStore:
    """See `bridge.auth.rate_limits.Ledger` for the promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._charge = PipelinedScript(client, load(client, "charge_rate_limit"))

    def settle(self, spent: Sequence[Usage]) -> list[dict[str, float]]:
        """Take out what was spent, all in one round trip."""
        with store_errors():
            results = self._charge([([keys.quota(each.client)], _arguments(each)) for each in spent])
        # What goes wrong with one client's buckets is no reason to forget the others'.
        return [
            {} if isinstance(left, Exception) else dict(zip(each.uses, map(float, left), strict=True))
            for each, left in zip(spent, results, strict=True)
        ]


def _arguments(spent: Usage) -> list[str | float]:
    return [WINDOW_S, MAX_DEBT_S, *(part for use, (rate, units) in spent.uses.items() for part in (use, rate, units))]
