# SPDX-License-Identifier: Apache-2.0
"""Refusals are kept back for a moment, but not without end, and of one client not more than so many a second."""

import asyncio
import threading
import time
from typing import Any

import pytest

from api import restraint
from api.incoming import Incoming
from api.patience import Patience
from api.restraint import Restraint
from schemas.client import Client

LARGE = (b"x-large", b"x" * 100_000)


class Asked:
    """A request over its quota, and how long it waits."""

    def __init__(self, client: str, address: str = "192.0.2.1", body: int = 100) -> None:
        self.gone = asyncio.Event()
        length = (b"content-length", str(body).encode())
        scope = {
            "method": "POST",
            "path": "/v1/writes",
            "raw_path": b"/v1/writes",
            "query_string": b"a=" + b"b" * 100_000,
            "headers": [length, LARGE],
            "client": (address, 1234),
        }
        self.read = 0
        self.request = Incoming(scope, self._receive, Patience(seconds=30))
        if client:
            self.request.client = Client(name=client)

    async def _receive(self) -> dict[str, Any]:
        self.read += 1
        if self.read == 1:
            return {"type": "http.request", "body": b"b" * 100, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def wait(self, refusals: Restraint) -> float:
        began = time.monotonic()
        await refusals.wait(self.request)
        return time.monotonic() - began


def refusals(stopping: threading.Event | None = None) -> Restraint:
    return Restraint(stopping or threading.Event(), proxies=0)


def test_as_many_wait_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_MOST", 3)
    monkeypatch.setattr(restraint, "_MOST_OF_ONE", 2)

    async def ask() -> list[list[float]]:
        kept_back = refusals()
        asked = [Asked(client) for client in ("a", "a", "a", "b", "c")]
        first = await asyncio.gather(*(each.wait(kept_back) for each in asked))
        return [first, [await Asked("b").wait(kept_back)]]

    first, again = asyncio.run(ask())

    assert [seconds > 0.15 for seconds in first] == [True, True, False, True, False]
    assert again[0] > 0.15, "when they are gone there is room again"


def test_the_more_of_one_client_wait_the_longer_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_REFUSALS_A_SECOND", 20)

    async def ask() -> list[float]:
        kept_back = refusals()
        asked = [Asked("", "192.0.2.7") for _ in range(20)] + [Asked("", "192.0.2.8"), Asked("other")]
        return list(await asyncio.gather(*(each.wait(kept_back) for each in asked)))

    *greedy, neighbour, other = asyncio.run(ask())

    assert greedy[-1] > 1.15, "twenty at twenty a second"
    assert max(neighbour, other) < greedy[-1] / 2, "nobody else waits for them, of strangers neither"


def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_REFUSALS_A_SECOND", 0.01)
    monkeypatch.setattr(restraint, "_PATIENCE", 0.3)

    assert asyncio.run(Asked("a").wait(refusals())) < 5


@pytest.mark.parametrize("why", ["gone", "stopping"])
def test_nobody_waits_for_nothing(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    monkeypatch.setattr(restraint, "_SHORTEST", 60)
    monkeypatch.setattr(restraint, "_LONGEST", 60)
    monkeypatch.setattr(restraint, "_PATIENCE", 60)
    stopping = threading.Event()

    async def ask() -> float:
        asked = Asked("a")
        waiting = asyncio.create_task(asked.wait(refusals(stopping)))
        await asyncio.sleep(0)
        (asked.gone if why == "gone" else stopping).set()
        return await waiting

    assert asyncio.run(ask()) < 10


def test_what_waits_holds_next_to_nothing_and_reads_no_long_body() -> None:
    async def ask() -> tuple[Asked, Asked]:
        kept_back, short, long = refusals(), Asked("a"), Asked("a", body=10_000_000)
        short.request.put_back(b"b" * 100_000)
        await asyncio.gather(short.wait(kept_back), long.wait(kept_back))
        return short, long

    short, long = asyncio.run(ask())

    assert (short.read, long.read) == (2, 0)
    assert LARGE not in short.request.headers
    assert not [value for value in vars(short.request).values() if isinstance(value, bytes | dict) and len(value) > 100]
    assert (short.request.address(proxies=0), short.request.path) == ("192.0.2.1", "/v1/writes")
