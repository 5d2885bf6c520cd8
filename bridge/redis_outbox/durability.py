# SPDX-License-Identifier: Apache-2.0
"""Asks Redis what an acknowledged write survives.

The levels: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from typing import Any

import redis

from bridge.outbox import Durability


def read_durability(client: redis.Redis) -> Durability:
    """Return the level of durability, with a warning for each setting that can lose an accepted write."""
    try:
        config = {name: _config(client, name) for name in ("appendonly", "appendfsync", "maxmemory-policy")}
    except redis.ResponseError:
        # Managed services forbid CONFIG; their durability is chosen, and shown, elsewhere.
        return Durability(level="unknown")
    warnings = []
    if config["maxmemory-policy"] != "noeviction":
        warnings.append(f"maxmemory-policy is {config['maxmemory-policy']}: pending writes can be evicted")
    if config["appendonly"] != "yes":
        warnings.append("appendonly is off: a restart of the store loses pending writes")
        return Durability(level="none", warnings=tuple(warnings))
    if config["appendfsync"] != "always":
        warnings.append(f"appendfsync is {config['appendfsync']}: a crash of the store's host loses the last writes")
    return Durability(level=f"fsync-{config['appendfsync']}", warnings=tuple(warnings))


def _config(client: redis.Redis, name: str) -> str:
    """One name a call: several at once are only known from Redis 7 on."""
    return {_text(key): _text(value) for key, value in client.config_get(name).items()}.get(name, "")


def _text(value: Any) -> str:  # noqa: ANN401 - bytes or text, by the protocol's version
    return value.decode() if isinstance(value, bytes) else str(value)
