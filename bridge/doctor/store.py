# SPDX-License-Identifier: Apache-2.0
"""Looks at the store: whether it answers, keeps what it is given, has room, and lets its account do what is needed."""

import datetime as dt
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import redis

from bridge.clock import Clock
from bridge.doctor.checks import Check, Opinion, fail, ok, warn
from bridge.doctor.clocks import compared
from bridge.doctor.redis_server import reached, translated
from bridge.errors import StoreUnavailable
from bridge.outbox import Durability
from bridge.redis_outbox import connect
from bridge.redis_outbox.client import every_info, is_cluster
from bridge.redis_outbox.durability import read_durability
from bridge.redis_outbox.occupancy import WATERMARK, held_bytes
from bridge.redis_outbox.rehearsal import rehearse
from bridge.settings import Settings

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


def _durability(client: Any) -> Opinion:  # noqa: ANN401 - redis-py's clients share no base
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


def _of_managed(durability: Durability, persistence: list[dict[str, Any]]) -> Opinion:
    if durability.warnings:
        return warn("; ".join(durability.warnings), "choose a parameter group with maxmemory-policy noeviction")
    if any(each.get("aof_enabled") for each in persistence):
        return ok("noeviction, append-only file; it forbids CONFIG, so how often it syncs is not known")
    return warn(
        "it forbids CONFIG and shows no append-only file: what it keeps is not known",
        "use MemoryDB, or ElastiCache for Valkey with durability (docs/adr/0006); with one of them, all is well",
    )


def _scripts(client: Any) -> Opinion:  # noqa: ANN401
    try:
        refused = rehearse(client)
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


def _memory(client: Any, cap: int) -> Opinion:  # noqa: ANN401
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


def _replicas(client: Any, url: str) -> Opinion:  # noqa: ANN401
    infos = every_info(client, "replication")
    replicas = sum(each.get("connected_slaves", 0) for each in infos)
    what = f"a cluster of {len(infos)} primaries" if is_cluster(url) else "one server"
    if replicas:
        return ok(f"{what}, {replicas} replicas; a failover may lose the last writes unless the service says otherwise")
    return ok(f"{what} without replicas: while it is down, clients get 503")


def _clock(client: Any, clock: Clock) -> Opinion:  # noqa: ANN401
    seconds, micros = client.time()
    theirs = dt.datetime.fromtimestamp(seconds + micros / 1_000_000, dt.UTC)
    return compared(clock.now(), theirs, "the store")
