# SPDX-License-Identifier: Apache-2.0
"""The state that consoles poll is a second old at most, and never older than a change."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from bridge.operations.recent_state import RecentState
from bridge.operations.series import NAMES
from bridge.operations.snapshot import Minute, Snapshot
from tests.fakes import FakeClock


class Store:
    """Counts what is read. Each snapshot is the number of its reading."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.minutes: list[int] = []
        self.while_reading: Callable[[], None] = lambda: None

    def read_snapshot(self) -> Snapshot:
        self.snapshots += 1
        number = self.snapshots
        self.while_reading()
        return cast("Snapshot", number)

    def read(self, first: int, count: int) -> list[Minute]:
        del first
        self.minutes.append(count)
        return [{}] * count

    def claim_sample(self) -> bool:
        raise NotImplementedError

    def note(self, minute: int, values: Mapping[str, float], *, only_first: Mapping[str, float]) -> None:
        raise NotImplementedError


class Snapshots:
    def __init__(self, store: Store) -> None:
        self.read = store.read_snapshot

    def workers(self) -> list[Any]:
        raise NotImplementedError


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@pytest.fixture
def recent(store: Store, clock: FakeClock) -> RecentState:
    return RecentState(Snapshots(store), store, clock)


def number_of(recent: RecentState) -> int:
    return cast("int", recent.snapshot())


def test_what_was_read_serves_for_a_second(recent: RecentState, clock: FakeClock) -> None:
    first = number_of(recent)
    clock.pass_(dt.timedelta(seconds=0.9))
    within = number_of(recent)
    clock.pass_(dt.timedelta(seconds=0.1))

    assert (first, within, number_of(recent)) == (1, 1, 2)


def test_each_question_about_series_has_its_own_answer(recent: RecentState, store: Store) -> None:
    questions = [(NAMES[:1], 3), (NAMES[1:2], 3), (NAMES[:1], 5), (NAMES[:1], 3)]
    answers = [recent.series(names, minutes=minutes) for names, minutes in questions]

    assert [list(answer.series) for answer in answers] == [list(names) for names, _ in questions]
    assert store.minutes == [3, 3, 5]


def test_many_questions_are_not_all_kept(recent: RecentState, store: Store) -> None:
    for minutes in [*range(1, 101), 100, 1]:
        recent.series(NAMES, minutes=minutes)

    assert store.minutes == [*range(1, 101), 1]


def test_nothing_from_before_a_change_is_used_after_it(recent: RecentState, store: Store) -> None:
    recent.snapshot()
    recent.forget()
    store.while_reading = recent.forget
    during = number_of(recent)
    store.while_reading = lambda: None

    assert (during, number_of(recent)) == (2, 3)
