# SPDX-License-Identifier: Apache-2.0
"""The names of runs in Redis. The contract is `bridge.outbox`."""

import datetime as dt
from typing import Any

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors


class RedisRunNames:
    """See `bridge.outbox.RunNames` for every promise."""

    def __init__(self, client: redis.Redis, *, retention: dt.timedelta) -> None:
        self._client: Any = client
        self._retention_ms = round(retention.total_seconds() * 1000)

    def run_id(self, lane: str) -> str | None:
        """Return the id of the run that a lane stands for. A name that is used is not forgotten."""
        with store_errors():
            found = self._client.getex(keys.run_name(lane), px=self._retention_ms)
            if found is None:
                return None
            run_id: str = found.decode()
            self._client.set(keys.run_alias(run_id), lane, px=self._retention_ms)
        return run_id

    def bind(self, lane: str, run_id: str) -> str:
        """Have the lane stand for this run. Losing the race means that the name has a run already, which counts."""
        name = keys.run_name(lane)
        with store_errors():
            self._client.set(name, run_id, nx=True, px=self._retention_ms)
            bound: str = self._client.get(name).decode()
            # Who reads the run by its id must wait for what is written to it by its name.
            self._client.set(keys.run_alias(bound), lane, px=self._retention_ms)
        return bound


_LASTS = dt.timedelta(days=1)


class RedisExperimentMemory:
    """See `bridge.auth.experiment_scope.ExperimentMemory` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def experiment_of(self, lane: str) -> str | None:
        """Return the id of the experiment that the subject of a lane is in."""
        with store_errors():
            found = self._client.get(keys.experiment(lane))
        return None if found is None else str(found.decode())

    def remember(self, lane: str, experiment_id: str) -> None:
        """Remember it, for a day."""
        with store_errors():
            self._client.set(keys.experiment(lane), experiment_id, ex=_LASTS)
