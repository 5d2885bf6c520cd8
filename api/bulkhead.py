# SPDX-License-Identifier: Apache-2.0
"""Keeps apart what blocks, so that one kind of request can't take the threads of all."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """All threads are taken; the client should come back soon."""


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


class Threads:
    """Threads for calls that block, to be awaited on an event loop."""

    #: How long, in seconds, a new request waits for a thread before it is told to come again.
    PATIENCE = 1.0

    def __init__(self, *, count: int, name: str) -> None:
        self._free = asyncio.Semaphore(count)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def begin(self, function: Callable[[], T]) -> T:
        """Run a function, or raise ``Busy`` if no thread is free soon."""
        try:
            async with asyncio.timeout(self.PATIENCE):
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy from error
        return await self._run(function)

    async def go_on(self, function: Callable[[], T]) -> T:
        """Run a function that belongs to a request which has begun: as soon as there is a thread."""
        await self._free.acquire()
        return await self._run(function)

    async def _run(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._free.release()
