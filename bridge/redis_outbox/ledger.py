# SPDX-License-Identifier: Apache-2.0
"""The ledger of quotas in Redis: a hash a client. The contract is `bridge.quotas.Ledger`."""

from collections.abc import Sequence

import redis

from bridge.quotas import LONGEST_DEBT, WINDOW, Spent
from bridge.redis_outbox import keys
from bridge.redis_outbox.client import store_errors
from bridge.redis_outbox.scripts import PipelinedScript, load


class RedisLedger:
    """See `bridge.quotas.Ledger` for the promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._spend = PipelinedScript(client, load(client, "spend"))

    def settle(self, spent: Sequence[Spent]) -> list[dict[str, float]]:
        """Take out what was spent, all in one round trip."""
        with store_errors():
            results = self._spend([([keys.quota(each.client)], _arguments(each)) for each in spent])
        # What goes wrong with one client's buckets is no reason to forget the others'.
        return [
            {} if isinstance(left, Exception) else dict(zip(each.uses, map(float, left), strict=True))
            for each, left in zip(spent, results, strict=True)
        ]


def _arguments(spent: Spent) -> list[str | float]:
    return [WINDOW, LONGEST_DEBT, *(part for use, (rate, units) in spent.uses.items() for part in (use, rate, units))]
