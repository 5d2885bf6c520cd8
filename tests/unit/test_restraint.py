# SPDX-License-Identifier: Apache-2.0
"""Refusals are kept back for a moment, but not without end."""

import asyncio
import time

import pytest

from api import restraint
from api.restraint import Restraint


def test_a_refusal_waits_and_as_many_as_there_may_be_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_MOST", 2)

    async def ask() -> list[float]:
        refusals, began = Restraint(), time.monotonic()

        async def one() -> float:
            await refusals.wait()
            return time.monotonic() - began

        first = [asyncio.create_task(one()) for _ in range(2)]
        await asyncio.sleep(0)
        one_too_many = asyncio.create_task(one())
        done, _ = await asyncio.wait([*first, one_too_many], return_when=asyncio.FIRST_COMPLETED)
        assert done == {one_too_many}, "it does not wait"
        waited = [await each for each in first]
        again = time.monotonic()
        await refusals.wait()
        return [*waited, time.monotonic() - again]

    assert all(seconds > 0.15 for seconds in asyncio.run(ask())), "when they are gone there is room again"
