# SPDX-License-Identifier: Apache-2.0
"""What `bridge.dispatch` promises, over a real broker."""

import datetime as dt

import pytest

from bridge.dispatch import queue_of
from bridge.dispatch.celery_dispatch import QUEUES, CeleryDispatch
from bridge.events import DispatchFailed
from bridge.redis_store.outbox import connect
from tests.fakes import Events
from tests.servers import Server, wait_until

SECOND = dt.timedelta(seconds=1)


def test_room_shrinks_with_each_hint_that_nobody_has_taken(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    broker = connect(url, timeout=SECOND, connections=2)
    broker.flushall()
    # A hint is dropped after this time, which a busy machine may need.
    dispatch = CeleryDispatch(url, observe=Events(), timeout=SECOND * 10)
    empty = dispatch.capacity().total

    for number in range(50):
        dispatch.lane_due(f"{number:032x}", "a")
    line = "{bridge-broker}:" + QUEUES[queue_of("a")]
    wait_until(lambda: broker.llen(line) == 50)

    assert dispatch.capacity().total == empty - 50
    assert dispatch.ping()


@pytest.mark.full
def test_without_a_broker_there_is_no_room_and_no_error() -> None:
    events = Events()
    dispatch = CeleryDispatch("redis://127.0.0.1:1", observe=events, timeout=SECOND / 10)

    for number in range(300):
        dispatch.lane_due(f"{number}", "a")

    assert dispatch.capacity().total == 0
    assert not dispatch.ping()
    wait_until(lambda: sum(event.hints for event in events.of(DispatchFailed)) == 300)
    assert {event.reason for event in events.of(DispatchFailed)} <= {"OperationalError", "ConnectionError"}


def test_one_clients_hints_take_no_room_from_anothers(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    broker = connect(url, timeout=SECOND, connections=2)
    broker.flushall()
    dispatch = CeleryDispatch(url, observe=Events(), timeout=SECOND)
    for _ in range(3000):
        broker.rpush("{bridge-broker}:" + QUEUES[queue_of("greedy")], "a hint")

    capacity = dispatch.capacity()

    assert queue_of("greedy") != queue_of("other")
    assert [capacity.take(client) for client in ("greedy", "other")] == [False, True]
