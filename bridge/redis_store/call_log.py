# SPDX-License-Identifier: Apache-2.0
"""The calls to one upstream in Redis: the latest failed ones, and numbers by outcome. The contract is `CallLog`."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.telemetry.call_log import MAX_FAILURES
from schemas.upstream import FailedCall

#: Calls are counted in periods of this length, so that the numbers of the last hour cost a few reads.
_PERIOD_S = 300
_PERIODS_OF_AN_HOUR = 3600 // _PERIOD_S
_PERIOD_RETENTION_S = 7200


class RedisCallLog:
    """See `bridge.telemetry.call_log.CallLog` for the promises."""

    def __init__(self, client: redis.Redis, upstream_id: str, now: Callable[[], dt.datetime]) -> None:
        self._client: Any = client
        self._upstream_id = upstream_id
        self._now = now

    def add(self, failures: Sequence[FailedCall], outcomes: Mapping[str, int]) -> None:
        """Add calls, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        if failures:
            key = keys.upstream_failures(self._upstream_id)
            pipeline.lpush(key, *(msgspec.json.encode(failure) for failure in failures))
            pipeline.ltrim(key, 0, MAX_FAILURES - 1)
        calls = keys.upstream_calls(self._upstream_id, self._period())
        for outcome, number in outcomes.items():
            pipeline.hincrby(calls, outcome, number)
        pipeline.expire(calls, _PERIOD_RETENTION_S)
        with store_errors():
            pipeline.execute()

    def failures(self) -> list[FailedCall]:
        """Return the latest failed calls. Processes add theirs a moment late, so they are put in order here."""
        with store_errors():
            texts = self._client.lrange(keys.upstream_failures(self._upstream_id), 0, MAX_FAILURES - 1)
        failures = [msgspec.json.decode(text, type=FailedCall) for text in texts]
        return sorted(failures, key=lambda failure: failure.id, reverse=True)

    def outcomes(self) -> dict[str, int]:
        """Return the numbers of calls in this period and in those of the hour before it."""
        current = self._period()
        pipeline = self._client.pipeline(transaction=False)
        for period in range(current - _PERIODS_OF_AN_HOUR, current + 1):
            pipeline.hgetall(keys.upstream_calls(self._upstream_id, period))
        with store_errors():
            outcomes_by_period = pipeline.execute()
        total: Counter[str] = Counter()
        for outcomes in outcomes_by_period:
            total.update({outcome.decode(): int(number) for outcome, number in outcomes.items()})
        return dict(total)

    def _period(self) -> int:
        """Return the number of the current period since 1970."""
        return int(self._now().timestamp()) // _PERIOD_S
