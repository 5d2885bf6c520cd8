# SPDX-License-Identifier: Apache-2.0
"""Lines that take turns."""

import threading

from bridge.dispatch.celery_dispatch import RoundRobinQueue


def test_a_long_line_keeps_a_short_one_waiting_for_one_turn() -> None:
    turns: RoundRobinQueue[str] = RoundRobinQueue(most=100)
    for number in range(50):
        turns.put(1, f"a{number}")
    turns.put(2, "b0")
    turns.put(2, "b1")

    assert turns.take(most=1) == [(1, "a0")]
    assert turns.take(most=4) == [(2, "b0"), (1, "a1"), (2, "b1"), (1, "a2")]
    assert turns.take(most=1000) == [(1, f"a{number}") for number in range(3, 50)]


def test_a_line_that_is_full_leaves_room_in_others() -> None:
    turns: RoundRobinQueue[int] = RoundRobinQueue(most=2)

    assert [turns.put(1, number) for number in range(3)] == [True, True, False]
    assert turns.put(2, 0)
    assert (turns.waiting(1), turns.waiting(2), turns.waiting(3)) == (2, 1, 0)


def test_who_takes_waits_until_there_is_something() -> None:
    turns: RoundRobinQueue[str] = RoundRobinQueue(most=1)
    taken: list[tuple[int, str]] = []
    taker = threading.Thread(target=lambda: taken.extend(turns.take(most=5)))
    taker.start()

    turns.put(3, "late")
    taker.join(timeout=10)

    assert taken == [(3, "late")]


def test_what_is_forgotten_is_not_taken() -> None:
    turns: RoundRobinQueue[str] = RoundRobinQueue(most=5)
    turns.put(1, "old")
    assert turns.clear() == 1
    turns.put(2, "new")

    assert turns.take(most=5) == [(2, "new")]
