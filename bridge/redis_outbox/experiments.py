# SPDX-License-Identifier: Apache-2.0
"""What is in which experiment, in Redis. The contract is `bridge.experiments.ExperimentMemory`."""

import datetime as dt
from typing import Any

import redis

from bridge.redis_outbox import keys
from bridge.redis_outbox.client import store_errors

_LASTS = dt.timedelta(days=1)


class RedisExperimentMemory:
    """See `bridge.experiments.ExperimentMemory` for every promise."""

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
