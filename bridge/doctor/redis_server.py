# SPDX-License-Identifier: Apache-2.0
"""Finds out whether a Redis answers, and if not, why."""

import re
import statistics
import time
from collections.abc import Callable
from typing import Any

from bridge.doctor.checks import Opinion, fail, ok, warn
from bridge.errors import BridgeError
from bridge.redis_errors import is_redis_failure
from bridge.redis_outbox.client import every_info, store_errors
from bridge.redis_outbox.durability import outdated_servers
from bridge.settings import masked

_SLOW_MS = 20.0


def reached(connect: Any, url: str, setting: str) -> Opinion:  # noqa: ANN401 - a function that returns redis-py's client
    """Ask it for its version, and measure how long an answer takes; ``setting`` is the variable that names it."""
    try:
        client = connect()
        took = [_ping(client) for _ in range(5)]
        server, replication = every_info(client, "server"), every_info(client, "replication")
    except Exception as error:
        if not (isinstance(error, (BridgeError, OSError, ValueError)) or is_redis_failure(error)):
            raise
        return _unreachable(error, str(masked(url)), setting)
    if any(each.get("role") == "slave" for each in replication):
        return fail(f"{masked(url)} is a replica and takes no writes", f"name the primary in {setting}")
    if outdated := outdated_servers(client):
        return fail(f"{masked(url)} is {outdated[0]}", f"use Redis or Valkey 7.0 or newer in {setting}")
    ms = statistics.median(took) * 1000
    found = f"{masked(url)} answers in {ms:.1f} ms{_version(server)}"
    if ms > _SLOW_MS:
        return warn(found, "every write waits for it: put it into the same region and zone")
    return ok(found)


def translated(look: Callable[[], Opinion]) -> Callable[[], Opinion]:
    """Return a look at a Redis that raises ``StoreUnavailable`` where the connection fails."""

    def look_translated() -> Opinion:
        with store_errors():
            return look()

    return look_translated


def _ping(client: Any) -> float:  # noqa: ANN401 - redis-py's clients share no base
    began = time.perf_counter()
    client.ping()
    return time.perf_counter() - began


def _version(server: list[dict[str, Any]]) -> str:
    for each in server:
        if version := each.get("valkey_version"):
            return f", Valkey {version}"
        if version := each.get("redis_version"):
            return f", Redis {version}"
    return ""


#: What an error says, and what is to be done. The first that fits counts.
_REASONS = (
    (r"^ValueError", "write {} as redis://USER:PASSWORD@HOST:PORT/DATABASE"),
    (r"invalid (username|password)|WRONGPASS|NOAUTH|Authentication", "put the right user and password into {}"),
    (r"NOPERM|no permissions", "allow its user what the runbook lists under `Ask the doctor first`"),
    (r"CERTIFICATE|certificate", "have its certificate signed by a CA that this machine trusts, for the name in {}"),
    (r"SSL|TLS|Connection closed by server|Connection reset", "use rediss:// in {} if it wants TLS, redis:// if not"),
    (r"loading", "wait until it has loaded its data"),
    (r"Name or service|not known|resolution|nodename", "mend the host name in {}, or the name server"),
    (r"[Tt]imeout|timed out", "open the way to it: security group, firewall, route"),
    (r"cluster mode|CLUSTER|cluster support", "say redis:// in {} for one without cluster mode, redis+cluster:// else"),
)


def _unreachable(error: Exception, url: str, setting: str) -> Opinion:
    why = f"{type(error).__name__}: {error}"
    fix = next((fix for pattern, fix in _REASONS if re.search(pattern, why)), "start it, or name another in {}")
    return fail(f"{url} does not answer as it should: {why}", fix.format(setting))
