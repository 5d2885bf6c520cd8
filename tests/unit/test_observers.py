# SPDX-License-Identifier: Apache-2.0
"""Events are handed over a moment later, all of them, in their order, and in one go."""

import threading
from collections.abc import Sequence
from queue import Queue

import pytest

from bridge.events import DispatchFailed, Event
from bridge.telemetry import observers
from bridge.telemetry.observers import BufferedObserver


def event(number: int) -> Event:
    return DispatchFailed(hints=1, reason=str(number))


def test_what_is_told_is_handed_over_in_its_order_without_being_asked_for() -> None:
    seen: Queue[Event] = Queue()

    def observe(events: Sequence[Event]) -> None:
        for each in events:
            seen.put(each)

    tell = BufferedObserver(observe)

    for number in range(200):
        tell(event(number))

    assert [seen.get(timeout=30) for _ in range(200)] == [event(number) for number in range(200)]


def test_each_observer_is_handed_the_same_many_at_a_time() -> None:
    one: list[Sequence[Event]] = []
    other: list[Sequence[Event]] = []
    tell = BufferedObserver(one.append, other.append)

    for number in range(5):
        tell(event(number))
    tell.flush()

    assert one == other
    assert [each for events in one for each in events] == [event(number) for number in range(5)]


def test_where_too_many_wait_who_brings_one_more_waits_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "_MAX_BUFFERED_EVENTS", 10)
    seen: list[Event] = []
    stuck, go_on = threading.Event(), threading.Event()

    def observe(events: Sequence[Event]) -> None:
        stuck.set()
        assert go_on.wait(30)
        seen.extend(events)

    tell = BufferedObserver(observe)
    tell(event(0))
    assert stuck.wait(30), "the log takes nothing any more"
    for number in range(1, 11):
        tell(event(number))
    bringing = threading.Thread(target=tell, args=(event(11),))
    bringing.start()
    bringing.join(0.2)

    waits = bringing.is_alive()
    go_on.set()
    bringing.join(30)
    tell.flush()

    assert waits
    assert seen == [event(number) for number in range(12)]


def test_an_observer_that_fails_keeps_nothing_from_the_others_nor_from_itself_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Event] = []
    told: list[Event] = []

    def fails_once(events: Sequence[Event]) -> None:
        told.extend(events)
        if len(told) == 1:
            raise ValueError("a defect")

    tell = BufferedObserver(fails_once, seen.extend)
    tell(event(1))
    tell.flush()
    tell(event(2))
    tell.flush()

    assert seen == told == [event(1), event(2)]
    assert [(record.message, record.levelname) for record in caplog.records] == [("events_not_observed", "ERROR")]
