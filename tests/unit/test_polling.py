# SPDX-License-Identifier: Apache-2.0
"""Polls end when their condition holds, when their time is over, and when the process stops."""

import asyncio
import datetime as dt
import itertools
import threading
from collections.abc import Callable

import pytest

from api.http.polling import BlockingPoll, poll

LONG, SHORT = dt.timedelta(seconds=60), dt.timedelta(milliseconds=50)

Wait = Callable[[Callable[[], int], Callable[[int], bool], dt.timedelta, threading.Event], int]


def on_the_loop(
    read: Callable[[], int], is_done: Callable[[int], bool], max_wait: dt.timedelta, stopping: threading.Event
) -> int:
    return asyncio.run(poll(read, is_done, max_wait=max_wait, stopping=stopping))


def on_a_thread(
    read: Callable[[], int], is_done: Callable[[int], bool], max_wait: dt.timedelta, stopping: threading.Event
) -> int:
    return BlockingPoll(max_concurrent=1, stopping=stopping).until(read, is_done, max_wait=max_wait)


def counter() -> Callable[[], int]:
    numbers = itertools.count(1)
    return lambda: next(numbers)


@pytest.mark.parametrize("wait", [on_the_loop, on_a_thread])
def test_a_poll_reads_until_the_condition_holds(wait: Wait) -> None:
    assert wait(counter(), lambda number: number == 3, LONG, threading.Event()) == 3


@pytest.mark.parametrize("wait", [on_the_loop, on_a_thread])
def test_a_poll_returns_the_last_state_when_its_time_is_over(wait: Wait) -> None:
    assert wait(counter(), lambda _: False, SHORT, threading.Event()) > 1


@pytest.mark.parametrize("wait", [on_the_loop, on_a_thread])
def test_a_poll_ends_when_the_process_stops(wait: Wait) -> None:
    stopping = threading.Event()
    stopping.set()

    assert wait(counter(), lambda _: False, LONG, stopping) == 1


class Stopping(threading.Event):
    """Notes the pauses that a poll asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return False


def test_pauses_grow() -> None:
    stopping = Stopping()

    on_a_thread(counter(), lambda count: count == 6, LONG, stopping)

    first, *_, last = stopping.pauses
    assert first
    assert last
    assert last > first * 2


def test_a_blocking_poll_beyond_the_limit_reads_once() -> None:
    polls = BlockingPoll(max_concurrent=1, stopping=threading.Event())
    inner: list[int] = []
    numbers = itertools.count(1)

    def read() -> int:
        # From its second read on, the outer poll holds the only place.
        if (number := next(numbers)) == 2:
            inner.append(polls.until(counter(), lambda _: False, max_wait=LONG))
        return number

    polls.until(read, lambda number: number == 2, max_wait=LONG)
    after = polls.until(counter(), lambda number: number == 2, max_wait=LONG)

    assert inner == [1]
    assert after == 2, "the place is free again"
