# SPDX-License-Identifier: Apache-2.0
"""Looks at the broker, which may lose everything, but should answer."""

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from bridge.doctor.checks import Check, Opinion, fail, ok, warn
from bridge.doctor.redis_server import reached, translated
from bridge.errors import StoreUnavailable
from bridge.redis_outbox import connect
from bridge.redis_outbox.client import every_info, store_errors
from bridge.settings import Settings

_TIMEOUT = dt.timedelta(seconds=2)


def broker_checks(settings: Settings) -> list[Check]:
    """Return the questions to the broker."""
    url = settings.broker
    if url == settings.store_url:
        return [Check("broker", lambda: ok("the store itself"))]
    client: Callable[[], Any] = cache(partial(connect, url, timeout=_TIMEOUT, connections=2))
    return [
        Check("broker", lambda: reached(client, url, "BRIDGE_BROKER_URL")),
        Check("broker memory", translated(lambda: _memory(client())), ("broker",)),
        Check("broker place", translated(lambda: _place(client(), settings)), ("broker",)),
    ]


def _memory(client: Any) -> Opinion:  # noqa: ANN401 - redis-py's clients share no base
    memory = next(iter(every_info(client, "memory")), {})
    policy, most = memory.get("maxmemory_policy", "noeviction"), memory.get("maxmemory", 0)
    if most and policy == "noeviction" and memory.get("used_memory", 0) > most:
        return fail("it is full and takes no hints", "give it more memory; nothing in it is needed")
    if policy != "noeviction":
        fix = "set its maxmemory-policy to noeviction, or leave it: the sweep finds what has lost its hint"
        return warn(f"maxmemory-policy is {policy}: hints may vanish, and each costs up to a sweep period", fix)
    return ok(f"{policy}; {most >> 20} MiB at most" if most else f"{policy}, no maxmemory")


def _place(client: Any, settings: Settings) -> Opinion:  # noqa: ANN401
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
