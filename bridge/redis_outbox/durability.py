# SPDX-License-Identifier: Apache-2.0
"""Asks the store what an acknowledged write survives, and whether it is new enough.

The levels: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from typing import Any

import redis

from bridge.outbox import OLDEST_STORE, Durability
from bridge.redis_outbox.client import every_info


def read_durability(client: Any) -> Durability:  # noqa: ANN401 - see RedisOutbox
    """Return the level of durability, and why the store can't be used."""
    if outdated := outdated_servers(client):
        oldest = ".".join(map(str, OLDEST_STORE))
        return Durability(level="none", faults=(f"it is {outdated[0]}: use Redis or Valkey {oldest} or newer",))
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


def outdated_servers(client: Any) -> list[str]:  # noqa: ANN401
    """Return the servers of the store that are too old for its scripts, such as ``Redis 6.2.14``."""
    # Valkey also reports the version of Redis that it is compatible with, 7.2 or newer.
    versions = [str(info.get("redis_version", "")) for info in every_info(client, "server")]
    return [f"Redis {version}" for version in versions if _is_outdated(version)]


def _is_outdated(version: str) -> bool:
    numbers = [int(number) for number in version.split(".")[:2] if number.isdigit()]
    return len(numbers) == len(OLDEST_STORE) and tuple(numbers) < OLDEST_STORE


def _managed(client: Any) -> Durability:  # noqa: ANN401
    """A managed service forbids CONFIG. Its durability is chosen elsewhere, so what INFO shows is only a warning."""
    policies = {info.get("maxmemory_policy", "noeviction") for info in every_info(client, "memory")}
    warnings = [
        f"maxmemory-policy is {policy}, which can evict pending writes: use a parameter group with noeviction"
        for policy in sorted(policies - {"noeviction"})
    ]
    return Durability(level="unknown", warnings=tuple(warnings))


def _config(client: Any, name: str) -> str:  # noqa: ANN401
    return {_text(key): _text(value) for key, value in client.config_get(name).items()}.get(name, "")


def _text(value: Any) -> str:  # noqa: ANN401 - bytes or text, by the protocol's version
    return value.decode() if isinstance(value, bytes) else str(value)
