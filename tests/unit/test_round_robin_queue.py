# SPDX-License-Identifier: Apache-2.0
"""The bounded round-robin queue of unpublished hints."""

import threading

from bridge.dispatch.celery_dispatch import RoundRobinQueue


def test_a_long_queue_delays_a_short_one_by_one_turn() -> None:
    queue: RoundRobinQueue[str] = RoundRobinQueue(max_length=100)
    for number in range(50):
        queue.put(1, f"a{number}")
    queue.put(2, "b0")
    queue.put(2, "b1")

    assert queue.take(limit=1) == [(1, "a0")]
    assert queue.take(limit=4) == [(2, "b0"), (1, "a1"), (2, "b1"), (1, "a2")]
    assert queue.take(limit=1000) == [(1, f"a{number}") for number in range(3, 50)]


def test_a_full_queue_leaves_room_in_others() -> None:
    queue: RoundRobinQueue[int] = RoundRobinQueue(max_length=2)

    assert [queue.put(1, number) for number in range(3)] == [True, True, False]
    assert queue.put(2, 0)
    assert (queue.length(1), queue.length(2), queue.length(3)) == (2, 1, 0)


def test_take_waits_for_an_item() -> None:
    queue: RoundRobinQueue[str] = RoundRobinQueue(max_length=1)
    taken: list[tuple[int, str]] = []
    taker = threading.Thread(target=lambda: taken.extend(queue.take(limit=5)))
    taker.start()

    queue.put(3, "late")
    taker.join(timeout=10)

    assert taken == [(3, "late")]


def test_cleared_items_are_not_taken() -> None:
    queue: RoundRobinQueue[str] = RoundRobinQueue(max_length=5)
    queue.put(1, "old")
    assert queue.clear() == 1
    queue.put(2, "new")

    assert queue.take(limit=5) == [(2, "new")]
