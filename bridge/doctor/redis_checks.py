# SPDX-License-Identifier: Apache-2.0
"""Looks at the store: whether it answers, keeps what it is given, has room, and lets its account do what is needed."""

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
from bridge.doctor.checks import Check, CheckResult, compared, fail, ok, warn
from bridge.errors import BridgeError, StoreUnavailable
from bridge.outbox import Durability
from bridge.process.clock import Clock
from bridge.redis_store.accept import WATERMARK, held_bytes
from bridge.redis_store.client import every_info, is_cluster, outdated_servers, read_durability, store_errors
from bridge.redis_store.outbox import connect
from bridge.redis_store.scripts import self_test

_TIMEOUT = dt.timedelta(seconds=2)
#: From this part of what it may hold on, somebody should know.
_FILLING = 0.75
_PERMISSIONS = (
    "give the store's user `~bridge:* +@read +@write +@scripting +@connection +time +info`,"
    " and `~{bridge-broker}:* ~_kombu.*` with `+@pubsub +@transaction &*` if the broker is the same Redis"
)
_MiB = 1 << 20


def store_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the questions to the store."""
    url = settings.store_url
    client: Callable[[], Any] = cache(partial(connect, url, timeout=_TIMEOUT, connections=8))
    needs = ("store",)
    return [
        Check("store", lambda: reached(client, url, "BRIDGE_STORE_URL")),
        Check("store durability", translated(lambda: _durability(client())), needs),
        Check("store scripts", translated(lambda: _scripts(client())), needs),
        Check("store memory", translated(lambda: _memory(client(), settings.max_store)), needs),
        Check("store replicas", translated(lambda: _replicas(client(), url)), needs),
        Check("store clock", translated(lambda: _clock(client(), clock)), needs),
    ]


def _durability(client: Any) -> CheckResult:  # noqa: ANN401 - redis-py's clients share no base
    durability, persistence = read_durability(client), every_info(client, "persistence")
    if any(each.get("aof_last_write_status", "ok") != "ok" for each in persistence):
        return fail("it can't write to its disk (aof_last_write_status)", "free or mend the disk of the store")
    if durability.faults:
        pairs = [fault.partition(": ") for fault in durability.faults]
        fixes = (f"{fix}, with CONFIG SET and in its configuration" for _, _, fix in pairs)
        return fail("; ".join(found for found, _, _ in pairs), *fixes)
    if durability.level == "unknown":
        return _of_managed(durability, persistence)
    if durability.warnings:
        return warn("; ".join(durability.warnings), "set appendfsync to always if that is too much to lose")
    return ok(f"noeviction, {durability.level}: an answered write survives a crash of the store's host")


def _of_managed(durability: Durability, persistence: list[dict[str, Any]]) -> CheckResult:
    if durability.warnings:
        return warn("; ".join(durability.warnings), "choose a parameter group with maxmemory-policy noeviction")
    if any(each.get("aof_enabled") for each in persistence):
        return ok("noeviction, append-only file; it forbids CONFIG, so how often it syncs is not known")
    return warn(
        "it forbids CONFIG and shows no append-only file: what it keeps is not known",
        "use MemoryDB, or ElastiCache for Valkey with durability (docs/adr/0006); with one of them, all is well",
    )


def _scripts(client: Any) -> CheckResult:  # noqa: ANN401
    try:
        refused = self_test(client)
    except StoreUnavailable as error:
        if not isinstance(error.__cause__, redis.ResponseError):
            raise
        return fail(f"scripts are refused: {error}", _PERMISSIONS)
    if not refused:
        return ok("its account may run the bridge's scripts and all their commands")
    text = " ".join(refused)
    if "OOM" in text:
        return fail(f"it is full: {refused[0]}", "give it more memory, or drain dead letters")
    if "READONLY" in text:
        return fail("it is a replica and takes no writes", "name the primary in BRIDGE_STORE_URL")
    if "MISCONF" in text:
        return fail(f"it takes no writes: {refused[0]}", "mend its disk: it can't persist what it is given")
    return fail(f"refused: {'; '.join(refused)}", _PERMISSIONS)


def _memory(client: Any, cap: int) -> CheckResult:  # noqa: ANN401
    memories = every_info(client, "memory")
    limits = [(each.get("used_memory", 0), each["maxmemory"]) for each in memories if each.get("maxmemory")]
    used = max((used / most for used, most in limits), default=0.0)
    held = held_bytes(client)
    found = f"{held // _MiB} of {cap // _MiB} MiB (BRIDGE_MAX_STORE) held, {used:.0%} of maxmemory used"
    if used > WATERMARK:
        return fail(f"{found}: beyond {WATERMARK:.0%} writes are answered with 503", "raise maxmemory of the store")
    if max(used / WATERMARK, held / cap) > _FILLING:
        return warn(found, "look why it does not drain (`mlflow-bridge backlog`), or give it more room")
    room = sum(most for _, most in limits) * WATERMARK if limits else sum(_physical(each) for each in memories)
    if room and room < cap:
        where = f"{WATERMARK:.0%} of its maxmemory" if limits else "the memory of its machine"
        return warn(f"{found}; BRIDGE_MAX_STORE is more than {where}", "lower BRIDGE_MAX_STORE, or give it more")
    return ok(found if limits else f"{held // _MiB} of {cap // _MiB} MiB (BRIDGE_MAX_STORE) held, no maxmemory")


def _physical(memory: dict[str, Any]) -> float:
    return float(memory.get("total_system_memory", 0))


def _replicas(client: Any, url: str) -> CheckResult:  # noqa: ANN401
    infos = every_info(client, "replication")
    replicas = sum(each.get("connected_slaves", 0) for each in infos)
    what = f"a cluster of {len(infos)} primaries" if is_cluster(url) else "one server"
    if replicas:
        return ok(f"{what}, {replicas} replicas; a failover may lose the last writes unless the service says otherwise")
    return ok(f"{what} without replicas: while it is down, clients get 503")


def _clock(client: Any, clock: Clock) -> CheckResult:  # noqa: ANN401
    seconds, micros = client.time()
    theirs = dt.datetime.fromtimestamp(seconds + micros / 1_000_000, dt.UTC)
    return compared(clock.now(), theirs, "the store")


_SLOW_MS = 20.0


def reached(connect: Any, url: str, setting: str) -> CheckResult:  # noqa: ANN401 - a function that returns redis-py's client
    """Ask it for its version, and measure how long an answer takes; ``setting`` is the variable that names it."""
    try:
        client = connect()
        duration = [_ping(client) for _ in range(5)]
        server, replication = every_info(client, "server"), every_info(client, "replication")
    except Exception as error:
        if not (isinstance(error, (BridgeError, OSError, ValueError)) or is_redis_failure(error)):
            raise
        return _unreachable(error, str(masked(url)), setting)
    if any(each.get("role") == "slave" for each in replication):
        return fail(f"{masked(url)} is a replica and takes no writes", f"name the primary in {setting}")
    if outdated := outdated_servers(client):
        return fail(f"{masked(url)} is {outdated[0]}", f"use Redis or Valkey 7.0 or newer in {setting}")
    ms = statistics.median(duration) * 1000
    found = f"{masked(url)} answers in {ms:.1f} ms{_version(server)}"
    if ms > _SLOW_MS:
        return warn(found, "every write waits for it: put it into the same region and zone")
    return ok(found)


def translated(look: Callable[[], CheckResult]) -> Callable[[], CheckResult]:
    """Return a look at a Redis that raises ``StoreUnavailable`` where the connection fails."""

    def look_translated() -> CheckResult:
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


def _unreachable(error: Exception, url: str, setting: str) -> CheckResult:
    reason = f"{type(error).__name__}: {error}"
    fix = next((fix for pattern, fix in _REASONS if re.search(pattern, reason)), "start it, or name another in {}")
    return fail(f"{url} does not answer as it should: {reason}", fix.format(setting))


def broker_checks(settings: Settings) -> list[Check]:
    """Return the questions to the broker."""
    url = settings.broker
    if url == settings.store_url:
        return [Check("broker", lambda: ok("the store itself"))]
    client: Callable[[], Any] = cache(partial(connect, url, timeout=_TIMEOUT, connections=2))
    return [
        Check("broker", lambda: reached(client, url, "BRIDGE_BROKER_URL")),
        Check("broker memory", translated(lambda: _broker_memory(client())), ("broker",)),
        Check("broker place", translated(lambda: _broker_place(client(), settings)), ("broker",)),
    ]


def _broker_memory(client: Any) -> CheckResult:  # noqa: ANN401 - redis-py's clients share no base
    memory = next(iter(every_info(client, "memory")), {})
    policy, most = memory.get("maxmemory_policy", "noeviction"), memory.get("maxmemory", 0)
    if most and policy == "noeviction" and memory.get("used_memory", 0) > most:
        return fail("it is full and takes no hints", "give it more memory; nothing in it is needed")
    if policy != "noeviction":
        fix = "set its maxmemory-policy to noeviction, or leave it: the sweep finds what has lost its hint"
        return warn(f"maxmemory-policy is {policy}: hints may vanish, and each costs up to a sweep period", fix)
    return ok(f"{policy}; {most >> 20} MiB at most" if most else f"{policy}, no maxmemory")


def _broker_place(client: Any, settings: Settings) -> CheckResult:  # noqa: ANN401
    ids, same = _run_ids(client), set()
    # Without the store, which has a check of its own, there is nothing to compare with.
    with suppress(StoreUnavailable), store_errors():
        store: Any = connect(settings.store_url, timeout=_TIMEOUT, connections=1)
        same = ids & _run_ids(store)
    if same:
        fix = "never FLUSHALL it; leave BRIDGE_BROKER_URL unset, or name another Redis"
        return warn("another database of the store's own server: what empties one may empty both", fix)
    return ok("another server than the store")


def _run_ids(client: Any) -> set[str]:  # noqa: ANN401
    return {each["run_id"] for each in every_info(client, "server") if "run_id" in each}
