# SPDX-License-Identifier: Apache-2.0
"""Polls the store until a condition holds or a time is over, on the event loop or on a thread. Pauses grow."""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: Threads of their own, so that a hanging store blocks no other work. None is started before it is needed.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="waiting")
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.01, 0.25


async def poll(
    read: Callable[[], T], is_done: Callable[[T], bool], *, max_wait: dt.timedelta, stopping: threading.Event
) -> T:
    """Return the value of ``read`` once it is done, or the last one when the time is over or the process stops.

    ``read`` runs in a thread; between two reads no thread is held.
    """
    loop, pauses = asyncio.get_running_loop(), _Pauses(max_wait)
    while True:
        value = await loop.run_in_executor(_THREADS, read)
        pause = pauses.next()
        if is_done(value) or pause is None or stopping.is_set():
            return value
        await asyncio.sleep(pause)


class BlockingPoll:
    """Polls on the thread of the caller. The number of concurrent calls is limited, so that threads stay free."""

    def __init__(self, *, max_concurrent: int, stopping: threading.Event) -> None:
        self._bulkhead = Bulkhead(max_concurrent)
        self._stopping = stopping

    def until(self, read: Callable[[], T], is_done: Callable[[T], bool], *, max_wait: dt.timedelta | None) -> T:
        """Return the value of ``read`` once it is done, or the last one when the time is over or the process stops.

        Reads once if there is no time to wait, or if too many calls wait already: to wait is only a preference.
        """
        value = read()
        if is_done(value) or not max_wait or not self._bulkhead.try_enter():
            return value
        try:
            pauses = _Pauses(max_wait)
            while not is_done(value) and (pause := pauses.next()) is not None and not self._stopping.wait(pause):
                value = read()
            return value
        finally:
            self._bulkhead.leave()


class Bulkhead:
    """Limits how many calls use a resource at a time."""

    def __init__(self, max_concurrent: int) -> None:
        self._places = threading.BoundedSemaphore(max_concurrent)

    def try_enter(self) -> bool:
        """Take a place; return False if none is free."""
        return self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()


class _Pauses:
    """The pauses of one poll: each is half as long again as the one before, and the last ends with the wait."""

    def __init__(self, max_wait: dt.timedelta) -> None:
        self._end = time.monotonic() + max_wait.total_seconds()
        self._pause = _FIRST_PAUSE_S

    def next(self) -> float | None:
        """Return the next pause in seconds, None if the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            return None
        pause, self._pause = min(self._pause, left), min(self._pause * 1.5, _MAX_PAUSE_S)
        return pause
