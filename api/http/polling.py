# SPDX-License-Identifier: Apache-2.0
"""Waits on the event loop until something in the store has come about, looking at it ever less often."""

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: Their own, so that a store that hangs keeps nobody else from a thread. None is started before it is needed.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="waiting")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


async def wait_until(
    look: Callable[[], T], enough: Callable[[T], bool], *, longest: dt.timedelta, stopping: threading.Event
) -> T:
    """Return what ``look``, which runs in a thread, finds when it is enough, or else when the time is over.

    While the bridge is stopping nobody waits.
    """
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + longest.total_seconds(), _FIRST_PAUSE
    while True:
        found = await loop.run_in_executor(_THREADS, look)
        left = end - loop.time()
        if enough(found) or left <= 0 or stopping.is_set():
            return found
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


class Bulkhead:
    """Seats for requests that may hold a thread for long. There are fewer seats than threads."""

    def __init__(self, *, seats: int) -> None:
        self._seats = threading.BoundedSemaphore(seats)

    def try_enter(self) -> bool:
        """Take a seat if one is free; say whether."""
        return self._seats.acquire(blocking=False)

    def leave(self) -> None:
        """Give the seat back."""
        self._seats.release()
