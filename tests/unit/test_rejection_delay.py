# SPDX-License-Identifier: Apache-2.0
"""Refusals are kept back for a moment, but not without end, and of one client not more than so many a second."""

import asyncio
import threading
import time
from typing import Any

import pytest

from api.http.request import Identity, ReadTimeout, Request
from api.http.routing import RouteTable
from api.middleware import rate_limit
from api.middleware.rate_limit import RejectionDelay
from schemas.client import Client

LARGE = (b"x-large", b"x" * 100_000)


class Asked:
    """A request over its quota, and how long it waits."""

    def __init__(self, client: str, address: str = "192.0.2.1") -> None:
        scope = {
            "method": "POST",
            "path": "/v1/writes",
            "raw_path": b"/v1/writes",
            "query_string": b"a=" + b"b" * 100_000,
            "headers": [LARGE],
            "client": (address, 1234),
        }
        self.request = Request(scope, self._receive, routes=RouteTable(()), read_timeout=ReadTimeout(seconds=30))
        if client:
            self.request.identity = Identity(Client(name=client))

    async def _receive(self) -> dict[str, Any]:
        raise AssertionError("nothing is read of it")

    async def wait(self, refusals: RejectionDelay) -> float:
        began = time.monotonic()
        await refusals.wait(self.request)
        return time.monotonic() - began


def refusals(stopping: threading.Event | None = None) -> RejectionDelay:
    return RejectionDelay(stopping or threading.Event(), trusted_proxies=0)


def test_as_many_wait_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_DELAYED", 3)
    monkeypatch.setattr(rate_limit, "_MAX_DELAYED_OF_CLIENT", 2)

    async def ask() -> list[list[float]]:
        kept_back = refusals()
        asked = [Asked(client) for client in ("a", "a", "a", "b", "c")]
        first = await asyncio.gather(*(each.wait(kept_back) for each in asked))
        return [first, [await Asked("b").wait(kept_back)]]

    first, again = asyncio.run(ask())

    assert [seconds > 0.15 for seconds in first] == [True, True, False, True, False]
    assert again[0] > 0.15, "when they are gone there is room again"


def test_the_more_of_one_client_wait_the_longer_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_REJECTIONS_PER_S", 20)

    async def ask() -> list[float]:
        kept_back = refusals()
        asked = [Asked("", "192.0.2.7") for _ in range(20)] + [Asked("", "192.0.2.8"), Asked("other")]
        return list(await asyncio.gather(*(each.wait(kept_back) for each in asked)))

    *greedy, neighbour, other = asyncio.run(ask())

    assert greedy[-1] > 1.15, "twenty at twenty a second"
    assert max(neighbour, other) < greedy[-1] / 2, "nobody else waits for them, of strangers neither"


def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_REJECTIONS_PER_S", 0.01)
    monkeypatch.setattr(rate_limit, "_DELAY_LIMIT_S", 0.3)

    assert asyncio.run(Asked("a").wait(refusals())) < 5


def test_a_bridge_that_stops_lets_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MIN_DELAY_S", 60)
    monkeypatch.setattr(rate_limit, "_MAX_DELAY_S", 60)
    monkeypatch.setattr(rate_limit, "_DELAY_LIMIT_S", 60)
    stopping = threading.Event()

    async def ask() -> list[float]:
        kept_back = refusals(stopping)
        waiting = [asyncio.create_task(Asked("a").wait(kept_back)) for _ in range(3)]
        await asyncio.sleep(0)
        stopping.set()
        return [*await asyncio.gather(*waiting), await Asked("a").wait(kept_back)]

    assert max(asyncio.run(ask())) < 10


def test_after_a_pause_it_is_looked_again_whether_the_bridge_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_STOPPING_CHECK_INTERVAL_S", 0.01)
    stopping = threading.Event()

    async def ask() -> float:
        kept_back = refusals(stopping)
        await Asked("a").wait(kept_back)
        await asyncio.sleep(0.05)
        monkeypatch.setattr(rate_limit, "_MIN_DELAY_S", 60)
        monkeypatch.setattr(rate_limit, "_MAX_DELAY_S", 60)
        monkeypatch.setattr(rate_limit, "_DELAY_LIMIT_S", 60)
        waiting = asyncio.create_task(Asked("a").wait(kept_back))
        await asyncio.sleep(0)
        stopping.set()
        return await waiting

    assert asyncio.run(ask()) < 10


def test_what_waits_holds_next_to_nothing() -> None:
    asked = Asked("a")
    asked.request.replace_body(b"b" * 100_000)

    asyncio.run(asked.wait(refusals()))

    assert LARGE not in asked.request.headers
    assert not [value for value in vars(asked.request).values() if isinstance(value, bytes | dict) and len(value) > 100]
    assert not [value for value in asked.request.scope.values() if isinstance(value, bytes) and len(value) > 100]
    assert (asked.request.address(trusted_proxies=0), asked.request.path) == ("192.0.2.1", "/v1/writes")
