# SPDX-License-Identifier: Apache-2.0
"""What `bridge.dispatch` promises, over a real broker."""

import datetime as dt

from bridge.celery_dispatch import CeleryDispatch
from bridge.redis_outbox import connect
from tests.fakes import Events
from tests.servers import Server, wait_until

SECOND = dt.timedelta(seconds=1)


def test_room_shrinks_with_each_hint_that_nobody_has_taken(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    broker = connect(url, timeout=SECOND, connections=2)
    broker.flushall()
    dispatch = CeleryDispatch(url, observe=Events(), timeout=SECOND)
    empty = dispatch.room()

    for number in range(50):
        dispatch.lane_due(f"{number:032x}")
    wait_until(lambda: broker.llen("{bridge-broker}:bridge.deliver") == 50)

    assert dispatch.room() == empty - 50
    assert dispatch.ping()


def test_without_a_broker_there_is_no_room_and_no_error() -> None:
    events = Events()
    dispatch = CeleryDispatch("redis://127.0.0.1:1", observe=events, timeout=SECOND / 10)

    dispatch.lane_due("a")

    assert dispatch.room() == 0
    assert not dispatch.ping()
    wait_until(lambda: events.seen)
