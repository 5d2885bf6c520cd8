# SPDX-License-Identifier: Apache-2.0
"""How much is found out at a time, and how long a request waits for it."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from api.auth import experiment_scope as limits
from api.auth.experiment_scope import ExperimentScope
from bridge.errors import ExperimentUnknown
from schemas.client import Client


def request_of(name: str) -> Any:
    client = Client(name=name, experiments=frozenset({"7"}))
    return SimpleNamespace(client=client, workspace=None)


REQUEST = request_of("c")


class Hanging:
    """Finds out nothing until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    def is_seen_within(self, *_: object) -> bool:
        return False

    def is_within(self, *_: object, **__: object) -> bool:
        return self.may_go_on.wait(30)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    experiments = Hanging()
    yield experiments
    experiments.may_go_on.set()


def test_more_than_can_be_found_out_is_turned_away_at_once(hanging: Hanging) -> None:
    experiments: Any = hanging
    limited = ExperimentScope(experiments)

    async def ask_often() -> list[BaseException | None]:
        everybody = [(request_of(f"c{number % 5}"), f"{number}") for number in range(70)]
        asking = [asyncio.ensure_future(limited.check_run(*each)) for each in everybody]
        done, waiting = await asyncio.wait(asking, timeout=1)
        assert {type(each.exception()) for each in done} == {ExperimentUnknown}
        assert (len(done), len(waiting)) == (6, 64)
        hanging.may_go_on.set()
        await asyncio.gather(*waiting)
        # There is room again.
        return await asyncio.gather(*(limited.check_run(*each) for each in everybody[:64]))

    assert set(asyncio.run(ask_often())) == {None}


def test_one_client_leaves_room_for_others(hanging: Hanging) -> None:
    experiments: Any = hanging
    limited = ExperimentScope(experiments)

    async def ask() -> None:
        greedy = [asyncio.ensure_future(limited.check_run(REQUEST, f"{number}")) for number in range(20)]
        other = asyncio.ensure_future(limited.check_run(request_of("other"), "1"))
        done, waiting = await asyncio.wait([*greedy, other], timeout=1)
        assert {type(each.exception()) for each in done} == {ExperimentUnknown}
        assert (len(done), other in waiting) == (4, True)
        hanging.may_go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(ask())


def test_nobody_waits_for_ever(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_LOOKUP_TIMEOUT_S", 0.05)
    experiments: Any = hanging

    with pytest.raises(ExperimentUnknown, match="takes too long"):
        asyncio.run(ExperimentScope(experiments).check_run(REQUEST, "1"))
