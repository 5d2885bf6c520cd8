# SPDX-License-Identifier: Apache-2.0
"""Checks of the store and the broker: connection, durability, permissions, memory, replicas, clock."""

import datetime as dt
import re
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import redis

from bridge.config.settings import Settings, masked
from bridge.dispatch.redis_failures import is_redis_failure
from bridge.doctor.checks import Check, CheckResult, compare_clocks, fail, ok, warn
from bridge.errors import BridgeError, StoreUnavailable
from bridge.outbox import Durability
from bridge.process.clock import Clock
from bridge.redis_store.accept import WATERMARK, held_bytes
from bridge.redis_store.client import info_of_servers, is_cluster, outdated_servers, server_durability, store_errors
from bridge.redis_store.outbox import connect
from bridge.redis_store.scripts import self_test
from bridge.redis_store.store_format import read_format

_TIMEOUT = dt.timedelta(seconds=2)
#: Above this share of its limits, the store is nearly full.
_WARN_SHARE = 0.75
#: Every write waits for the store, so a slower one is a warning.
_SLOW_MS = 20.0
#: Round trips; their median is the latency.
_PINGS = 5
_PERMISSIONS_FIX = (
    "give the store's user `~bridge:* +@read +@write +@scripting +@connection +time +info`,"
    " and `~{bridge-broker}:* ~_kombu.*` with `+@pubsub +@transaction &*` if the broker is the same Redis"
)
_MiB = 1 << 20


def store_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks of the store."""
    url = settings.store_url
    client: Callable[[], Any] = cache(partial(connect, url, timeout=_TIMEOUT, connections=8))
    needs = ("store",)
    return [
        Check("store", lambda: check_connection(client, url, "BRIDGE_STORE_URL")),
        Check("store durability", _with_store_errors(lambda: _check_durability(client())), needs),
        Check("store format", _with_store_errors(lambda: _check_format(client())), needs),
        Check("store scripts", _with_store_errors(lambda: _check_scripts(client())), needs),
        Check("store memory", _with_store_errors(lambda: _check_memory(client(), settings.max_store)), needs),
        Check("store replicas", _with_store_errors(lambda: _check_replicas(client(), url)), needs),
        Check("store clock", _with_store_errors(lambda: _check_clock(client(), clock)), needs),
    ]


def broker_checks(settings: Settings) -> list[Check]:
    """Return the checks of the broker."""
    url = settings.broker
    if url == settings.store_url:
        return [Check("broker", lambda: ok("the store itself"))]
    client: Callable[[], Any] = cache(partial(connect, url, timeout=_TIMEOUT, connections=2))
    return [
        Check("broker", lambda: check_connection(client, url, "BRIDGE_BROKER_URL")),
        Check("broker memory", _with_store_errors(lambda: _check_broker_memory(client())), ("broker",)),
        Check("broker place", _with_store_errors(lambda: _check_broker_place(client(), settings)), ("broker",)),
    ]


def check_connection(open_client: Any, url: str, setting: str) -> CheckResult:  # noqa: ANN401 - a function that returns redis-py's client
    """Check version, role and latency of a Redis server. ``setting`` is the variable that names it."""
    try:
        client = open_client()
        latencies = [_ping(client) for _ in range(_PINGS)]
        server, replication = info_of_servers(client, "server"), info_of_servers(client, "replication")
    except Exception as error:
        if not (isinstance(error, (BridgeError, OSError, ValueError)) or is_redis_failure(error)):
            raise
        return _connection_failure(error, str(masked(url)), setting)
    if any(each.get("role") == "slave" for each in replication):
        return fail(f"{masked(url)} is a replica and refuses writes", f"name the primary in {setting}")
    if outdated := outdated_servers(client):
        return fail(f"{masked(url)} is {outdated[0]}", f"use Redis or Valkey 7.0 or newer in {setting}")
    latency_ms = statistics.median(latencies) * 1000
    found = f"{masked(url)} responds in {latency_ms:.1f} ms{_version(server)}"
    if latency_ms > _SLOW_MS:
        return warn(found, "move it into the same region and zone: every write waits for it")
    return ok(found)


def _check_durability(client: Any) -> CheckResult:  # noqa: ANN401 - redis-py's clients share no base
    durability, persistence = server_durability(client), info_of_servers(client, "persistence")
    if any(each.get("aof_last_write_status", "ok") != "ok" for each in persistence):
        return fail("it can't write to its disk (aof_last_write_status)", "free or repair the disk of the store")
    if durability.faults:
        # Each fault is a problem and its fix, separated by a colon.
        pairs = [fault.partition(": ") for fault in durability.faults]
        fixes = (f"{fix}, with CONFIG SET and in its configuration" for _, _, fix in pairs)
        return fail("; ".join(found for found, _, _ in pairs), *fixes)
    if durability.level == "unknown":
        return _managed_durability(durability, persistence)
    if durability.warnings:
        return warn("; ".join(durability.warnings), "set appendfsync to always to lose none")
    return ok(f"noeviction, {durability.level}: an accepted write survives a crash of the store's host")


def _managed_durability(durability: Durability, persistence: list[dict[str, Any]]) -> CheckResult:
    if durability.warnings:
        return warn("; ".join(durability.warnings), "choose a parameter group with maxmemory-policy noeviction")
    if any(each.get("aof_enabled") for each in persistence):
        return ok("noeviction, append-only file; it forbids CONFIG, so its sync interval is unknown")
    return warn(
        "it forbids CONFIG and shows no append-only file: its durability is unknown",
        "use MemoryDB, or ElastiCache for Valkey with durability (docs/adr/0006); if it is one of them, ignore this",
    )


def _check_format(client: Any) -> CheckResult:  # noqa: ANN401
    stored = read_format(client)
    if stored is None:
        return ok("no release has written to it yet")
    if stored.fault:
        found, _, fix = stored.fault.partition(": ")
        return fail(found, fix)
    return ok(f"written by format {stored.written_by}, readable from format {stored.reads_from}")


def _check_scripts(client: Any) -> CheckResult:  # noqa: ANN401
    try:
        refused = self_test(client)
    except StoreUnavailable as error:
        if not isinstance(error.__cause__, redis.ResponseError):
            raise
        return fail(f"scripts are refused: {error}", _PERMISSIONS_FIX)
    if not refused:
        return ok("the user may run the bridge's scripts and all their commands")
    text = " ".join(refused)
    if "OOM" in text:
        return fail(f"it is full: {refused[0]}", "give it more memory, or drain dead letters")
    if "READONLY" in text:
        return fail("it is a replica and refuses writes", "name the primary in BRIDGE_STORE_URL")
    if "MISCONF" in text:
        return fail(f"it refuses writes: {refused[0]}", "repair its disk: it can't persist data")
    return fail(f"refused: {'; '.join(refused)}", _PERMISSIONS_FIX)


def _check_memory(client: Any, cap: int) -> CheckResult:  # noqa: ANN401
    memories = info_of_servers(client, "memory")
    limits = [(each.get("used_memory", 0), each["maxmemory"]) for each in memories if each.get("maxmemory")]
    used_share = max((used / limit_bytes for used, limit_bytes in limits), default=0.0)
    held = held_bytes(client)
    found = f"{held // _MiB} of {cap // _MiB} MiB (BRIDGE_MAX_STORE) held, {used_share:.0%} of maxmemory used"
    if used_share > WATERMARK:
        return fail(f"{found}: beyond {WATERMARK:.0%} writes are answered with 503", "raise maxmemory of the store")
    if max(used_share / WATERMARK, held / cap) > _WARN_SHARE:
        return warn(found, "find out why the backlog grows (`mlflow-bridge backlog`), or give the store more memory")
    # Without maxmemory, the machine's memory is the limit.
    usable_bytes = (
        sum(limit_bytes for _, limit_bytes in limits) * WATERMARK
        if limits
        else sum(_machine_bytes(memory) for memory in memories)
    )
    if usable_bytes and usable_bytes < cap:
        limit = f"{WATERMARK:.0%} of its maxmemory" if limits else "the memory of its machine"
        return warn(f"{found}; BRIDGE_MAX_STORE is more than {limit}", "lower BRIDGE_MAX_STORE, or add memory")
    return ok(found if limits else f"{held // _MiB} of {cap // _MiB} MiB (BRIDGE_MAX_STORE) held, no maxmemory")


def _machine_bytes(memory: dict[str, Any]) -> float:
    return float(memory.get("total_system_memory", 0))


def _check_replicas(client: Any, url: str) -> CheckResult:  # noqa: ANN401
    infos = info_of_servers(client, "replication")
    replicas = sum(each.get("connected_slaves", 0) for each in infos)
    topology = f"a cluster of {len(infos)} primaries" if is_cluster(url) else "one server"
    if replicas:
        return ok(
            f"{topology}, {replicas} replicas; a failover may lose the last writes unless the service excludes it"
        )
    return ok(f"{topology} without replicas: while it is down, clients get 503")


def _check_clock(client: Any, clock: Clock) -> CheckResult:  # noqa: ANN401
    seconds, micros = client.time()
    store_time = dt.datetime.fromtimestamp(seconds + micros / 1_000_000, dt.UTC)
    return compare_clocks(clock.now(), store_time, "the store")


def _with_store_errors(run: Callable[[], CheckResult]) -> Callable[[], CheckResult]:
    """Return a check that raises ``StoreUnavailable`` in place of redis-py's errors."""

    def run_translated() -> CheckResult:
        with store_errors():
            return run()

    return run_translated


def _ping(client: Any) -> float:  # noqa: ANN401 - redis-py's clients share no base
    """Return the seconds of one round trip."""
    began_at = time.perf_counter()
    client.ping()
    return time.perf_counter() - began_at


def _version(server: list[dict[str, Any]]) -> str:
    for each in server:
        if version := each.get("valkey_version"):
            return f", Valkey {version}"
        if version := each.get("redis_version"):
            return f", Redis {version}"
    return ""


#: Pattern of an error message, and its fix; {} stands for the setting. The first match decides.
_CONNECTION_FIXES = (
    (r"^ValueError", "write {} as redis://USER:PASSWORD@HOST:PORT/DATABASE"),
    (r"invalid (username|password)|WRONGPASS|NOAUTH|Authentication", "correct the user and the password in {}"),
    (r"NOPERM|no permissions", "grant its user the permissions in the runbook"),
    (r"CERTIFICATE|certificate", "use a certificate for the name in {}, signed by a CA that this machine trusts"),
    (r"SSL|TLS|Connection closed by server|Connection reset", "use rediss:// in {} if it requires TLS, else redis://"),
    (r"loading", "wait until it has loaded its data"),
    (r"Name or service|not known|resolution|nodename", "correct the host name in {}, or the name server"),
    (r"[Tt]imeout|timed out", "allow connections to it: security group, firewall, route"),
    (r"cluster mode|CLUSTER|cluster support", "use redis+cluster:// in {} for cluster mode, else redis://"),
)


def _connection_failure(error: Exception, url: str, setting: str) -> CheckResult:
    reason = f"{type(error).__name__}: {error}"
    fix = next((fix for pattern, fix in _CONNECTION_FIXES if re.search(pattern, reason)), "start it, or correct {}")
    return fail(f"{url} does not respond as expected: {reason}", fix.format(setting))


def _check_broker_memory(client: Any) -> CheckResult:  # noqa: ANN401 - redis-py's clients share no base
    memory = next(iter(info_of_servers(client, "memory")), {})
    policy, limit = memory.get("maxmemory_policy", "noeviction"), memory.get("maxmemory", 0)
    if limit and policy == "noeviction" and memory.get("used_memory", 0) > limit:
        return fail("it is full and refuses dispatches", "give it more memory, or empty it: it holds no writes")
    if policy != "noeviction":
        fix = "set its maxmemory-policy to noeviction, or accept the delay: the sweep dispatches such lanes again"
        return warn(f"maxmemory-policy is {policy}: a lost dispatch delays its lane until the next sweep", fix)
    return ok(f"{policy}, maxmemory {limit >> 20} MiB" if limit else f"{policy}, no maxmemory")


def _check_broker_place(client: Any, settings: Settings) -> CheckResult:  # noqa: ANN401
    ids, shared = _run_ids(client), set()
    # Without the store, which has a check of its own, there is nothing to compare.
    with suppress(StoreUnavailable), store_errors():
        store: Any = connect(settings.store_url, timeout=_TIMEOUT, connections=1)
        shared = ids & _run_ids(store)
    if shared:
        fix = "never FLUSHALL it; leave BRIDGE_BROKER_URL unset, or name another Redis"
        return warn("another database of the store's own server: FLUSHALL on one empties both", fix)
    return ok("another server than the store")


def _run_ids(client: Any) -> set[str]:  # noqa: ANN401
    """Return the ids of the server processes, which differ for any two servers."""
    return {each["run_id"] for each in info_of_servers(client, "server") if "run_id" in each}
