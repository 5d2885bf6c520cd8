# SPDX-License-Identifier: Apache-2.0
"""Ends the wait for clients that have stopped sending.

A timer for each message would be a twentieth of what a whole write costs; one look at all who wait is next to nothing.
"""

import asyncio

from api.asgi_types import Message, Receive
from bridge.errors import RequestStalled

_STALLED = float("-inf")


class Patience:
    """Waits for what clients send, for a limited time."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        #: Since when each task has been waiting.
        self._since: dict[asyncio.Task[object], float] = {}
        self._looks = False

    async def next(self, receive: Receive) -> Message:
        """Return the next message, or raise ``RequestStalled`` if none comes for that long, or a sixth longer."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            return await receive()
        self._since[task] = loop.time()
        if not self._looks:
            self._looks = True
            loop.call_later(self._seconds / 6, self._look, loop)
        try:
            return await receive()
        except asyncio.CancelledError:
            if self._since[task] != _STALLED:
                raise
            task.uncancel()
            raise RequestStalled(f"Nothing more of the body came for {self._seconds:.0f} s") from None
        finally:
            del self._since[task]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        since = loop.time() - self._seconds
        for task, began in self._since.items():
            if _STALLED < began < since:
                self._since[task] = _STALLED
                task.cancel()
        self._looks = bool(self._since)
        if self._looks:
            loop.call_later(self._seconds / 6, self._look, loop)
