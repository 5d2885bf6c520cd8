# SPDX-License-Identifier: Apache-2.0
"""Refusals are kept back for a moment, but not without end, and of one client not more than so many a second."""

import asyncio
import time
from collections.abc import Coroutine

import pytest

from api import restraint
from api.restraint import Restraint


def test_as_many_wait_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_ROOM", 100_000)

    async def ask() -> list[float]:
        refusals = Restraint()
        large = [asyncio.create_task(_timed(refusals.wait("a", head=30_000)))]
        await asyncio.sleep(0)
        one_too_many = asyncio.create_task(_timed(refusals.wait("b", head=10_000)))
        small = asyncio.create_task(_timed(refusals.wait("c", head=10)))
        done, _ = await asyncio.wait([*large, one_too_many, small], return_when=asyncio.FIRST_COMPLETED)
        assert done == {one_too_many}, "it does not wait"
        waited = [await each for each in (*large, small)]
        return [*waited, await _timed(refusals.wait("b", head=30_000))]

    assert all(seconds > 0.15 for seconds in asyncio.run(ask())), "when they are gone there is room again"


def test_the_more_of_one_client_wait_the_longer_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_REFUSALS_A_SECOND", 20)

    async def ask() -> tuple[list[float], float]:
        refusals = Restraint()
        many = [asyncio.create_task(_timed(refusals.wait("greedy", head=0))) for _ in range(20)]
        await asyncio.sleep(0)
        other = await _timed(refusals.wait("other", head=0))
        return [await each for each in many], other

    greedy, other = asyncio.run(ask())

    assert greedy[-1] > 1.15, "twenty at twenty a second"
    assert other < greedy[-1] / 2, "nobody else waits for them"


async def _timed(waiting: Coroutine[None, None, None]) -> float:
    began = time.monotonic()
    await waiting
    return time.monotonic() - began
