# SPDX-License-Identifier: Apache-2.0
"""Lookups of runs in Redis: from a run's name to its id, and from a run to its experiment."""

import datetime as dt
from typing import Any

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.timestamps import to_ms

#: A run never changes its experiment; the entry expires so that the store does not keep all runs for ever.
_EXPERIMENT_TTL = dt.timedelta(days=1)


class RedisRunNames:
    """See `bridge.outbox.RunNames` for every promise."""

    def __init__(self, client: redis.Redis, *, retention: dt.timedelta) -> None:
        self._client: Any = client
        self._retention_ms = to_ms(retention)

    def run_id(self, lane: str) -> str | None:
        """Return the id of the run that a lane stands for. Each use extends the retention of the name."""
        with store_errors():
            stored = self._client.getex(keys.run_name(lane), px=self._retention_ms)
            if stored is None:
                return None
            run_id: str = stored.decode()
            self._client.set(keys.run_alias(run_id), lane, px=self._retention_ms)
        return run_id

    def bind(self, lane: str, run_id: str) -> str:
        """Bind the lane to this run. If another process was first, its run stays bound and is returned."""
        name = keys.run_name(lane)
        with store_errors():
            self._client.set(name, run_id, nx=True, px=self._retention_ms)
            bound: str = self._client.get(name).decode()
            # A read of the run by its id must wait for the writes to its name.
            self._client.set(keys.run_alias(bound), lane, px=self._retention_ms)
        return bound


class RedisExperimentMemory:
    """See `bridge.auth.experiment_scope.ExperimentMemory` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def experiment_of(self, lane: str) -> str | None:
        """Return the id of the experiment of a lane's run or model."""
        with store_errors():
            experiment_id = self._client.get(keys.experiment(lane))
        return None if experiment_id is None else str(experiment_id.decode())

    def remember(self, lane: str, experiment_id: str) -> None:
        """Store the experiment for a day."""
        with store_errors():
            self._client.set(keys.experiment(lane), experiment_id, ex=_EXPERIMENT_TTL)
