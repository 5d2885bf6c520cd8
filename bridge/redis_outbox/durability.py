# SPDX-License-Identifier: Apache-2.0
"""Asks Redis what an acknowledged write survives.

The levels: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from typing import Any

import redis

from bridge.outbox import Durability
from bridge.redis_outbox.client import every_info


def read_durability(client: Any) -> Durability:  # noqa: ANN401 - see RedisOutbox
    """Return the level of durability, and what about the store can lose an accepted write."""
    try:
        policy, aof, fsync = (_config(client, name) for name in ("maxmemory-policy", "appendonly", "appendfsync"))
    except redis.ResponseError:
        return _managed(client)
    faults, warnings = [], []
    if policy != "noeviction":
        faults.append(f"maxmemory-policy is {policy}, which can evict pending writes: set it to noeviction")
    if aof != "yes":
        faults.append("appendonly is off, so a restart of the store loses pending writes: set it to yes")
    elif fsync != "always":
        warnings.append(f"appendfsync is {fsync}: a crash of the store's host loses the last writes")
    return Durability(
        level=f"fsync-{fsync}" if aof == "yes" else "none", faults=tuple(faults), warnings=tuple(warnings)
    )


def _managed(client: Any) -> Durability:  # noqa: ANN401
    """A managed service forbids CONFIG. Its durability is chosen elsewhere, so what INFO shows is only a warning."""
    policies = {info.get("maxmemory_policy", "noeviction") for info in every_info(client, "memory")}
    warnings = [
        f"maxmemory-policy is {policy}, which can evict pending writes: use a parameter group with noeviction"
        for policy in sorted(policies - {"noeviction"})
    ]
    return Durability(level="unknown", warnings=tuple(warnings))


def _config(client: Any, name: str) -> str:  # noqa: ANN401
    """One name a call: several at once are only known from Redis 7 on."""
    return {_text(key): _text(value) for key, value in client.config_get(name).items()}.get(name, "")


def _text(value: Any) -> str:  # noqa: ANN401 - bytes or text, by the protocol's version
    return value.decode() if isinstance(value, bytes) else str(value)
