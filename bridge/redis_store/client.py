# SPDX-License-Identifier: Apache-2.0
"""The client of the store: connections with timeouts, translation of errors, and the durability of the server."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from bridge.dispatch.redis_failures import is_redis_failure
from bridge.errors import CannotStart, StoreUnavailable
from bridge.outbox import OLDEST_STORE, Durability
from bridge.redis_store.store_format import read_format


def connect(url: str, *, timeout: dt.timedelta, connections: int) -> redis.Redis:
    """Return a client that gives up on a command after ``timeout``. It connects with the first command.

    redis-py would retry ten times by default, while the bridge's client waits for seconds; here the caller decides.

    A client of a cluster, ``redis+cluster://`` or ``rediss+cluster://``, reads the slots at once and raises
    ``CannotStart`` if the cluster does not answer.
    """
    seconds = timeout.total_seconds()
    options: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds / 2,
        "max_connections": connections,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if not is_cluster(url):
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
    try:
        cluster: Any = RedisCluster.from_url(url.replace("+cluster", "", 1), retry=Retry(NoBackoff(), 1), **options)
    except Exception as error:
        if not is_redis_failure(error):
            raise
        raise CannotStart(
            f"the store's cluster does not answer: {error}; check BRIDGE_STORE_URL", retryable=True
        ) from error
    return cast("redis.Redis", cluster)


def is_cluster(url: str) -> bool:
    """Return whether the URL is that of a cluster."""
    return urlsplit(url).scheme.endswith("+cluster")


def disconnect(client: Any, *, in_use: bool) -> None:  # noqa: ANN401 - redis-py's clients share no base
    """Close the idle connections of the pool, and those ``in_use``; the next command opens a new one."""
    for server in _servers(client):
        if server is not None:
            server.connection_pool.disconnect(inuse_connections=in_use)


def _servers(client: Any) -> list[Any]:  # noqa: ANN401
    """Return the client of each server; None for one that has not been sent any command."""
    if isinstance(client, RedisCluster):
        return [node.redis_connection for node in client.get_nodes()]  # type: ignore[no-untyped-call]
    return [client]


@contextmanager
def store_errors() -> Iterator[None]:
    """Translate whatever redis-py raises into ``StoreUnavailable``, also while a connection dies. Defects surface."""
    try:
        yield
    except Exception as error:
        if not is_redis_failure(error):
            raise
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def info_of_servers(client: Any, section: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return a section of INFO of each server of the store; an empty list if the store refuses the command."""
    try:
        if isinstance(client, RedisCluster):
            return list(client.info(section, target_nodes=RedisCluster.PRIMARIES).values())
        return [client.info(section)]
    except redis.ResponseError:
        return []


def read_durability(client: Any) -> Durability:  # noqa: ANN401 - see RedisOutbox
    """Return the level of durability, and each fault for which the store can't be used."""
    durability, store_format = server_durability(client), read_format(client)
    if store_format is None or store_format.fault is None:
        return durability
    return dataclasses.replace(durability, faults=(*durability.faults, store_format.fault))


def server_durability(client: Any) -> Durability:  # noqa: ANN401
    """Return the level of durability and its faults, without regard to what is stored."""
    if outdated := outdated_servers(client):
        oldest = ".".join(map(str, OLDEST_STORE))
        return Durability(level="none", faults=(f"it is {outdated[0]}: use Redis or Valkey {oldest} or newer",))
    try:
        policy, aof, fsync = (_config(client, name) for name in ("maxmemory-policy", "appendonly", "appendfsync"))
    except redis.ResponseError:
        return _managed_durability(client)
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
    versions = [str(info.get("redis_version", "")) for info in info_of_servers(client, "server")]
    return [f"Redis {version}" for version in versions if _is_outdated(version)]


def _is_outdated(version: str) -> bool:
    numbers = [int(number) for number in version.split(".")[:2] if number.isdigit()]
    return len(numbers) == len(OLDEST_STORE) and tuple(numbers) < OLDEST_STORE


def _managed_durability(client: Any) -> Durability:  # noqa: ANN401
    """Return the durability of a managed service, which forbids CONFIG and shows its eviction policy in INFO only."""
    # Warnings and no faults: how such a service persists its data is not visible here.
    policies = {info.get("maxmemory_policy", "noeviction") for info in info_of_servers(client, "memory")}
    warnings = [
        f"maxmemory-policy is {policy}, which can evict pending writes: use a parameter group with noeviction"
        for policy in sorted(policies - {"noeviction"})
    ]
    return Durability(level="unknown", warnings=tuple(warnings))


def _config(client: Any, name: str) -> str:  # noqa: ANN401
    return {_as_text(key): _as_text(value) for key, value in client.config_get(name).items()}.get(name, "")


def _as_text(value: Any) -> str:  # noqa: ANN401 - bytes or text, depending on the version of the protocol
    return value.decode() if isinstance(value, bytes) else str(value)
