# SPDX-License-Identifier: Apache-2.0
"""Lets those wait for their refusal who have asked too often.

Who asks as fast as he is answered would otherwise keep the event loop busy with refusals, and everybody else waiting.
The more of his requests wait, the longer each of them does, so that nobody gets more than 250 refusals a second on up
to a thousand connections. He is told to come again in a second or later anyway.
"""

import asyncio
import random
import threading
from collections import Counter

from api.incoming import Incoming
from schemas.client import STRANGER

#: In seconds. Not the same for all, for they would all come again at once.
_SHORTEST, _LONGEST = 0.2, 0.3
_REFUSALS_A_SECOND = 250
#: Nobody waits for longer, also in seconds.
_PATIENCE = 5.0
#: How often, in seconds, who waits looks whether the bridge is about to stop.
_LOOK = 0.25
#: So many wait at a time, and of one client; each holds about 16 KiB.
_MOST, _MOST_OF_ONE = 4_000, 2_000


class Restraint:
    """Keeps refusals back for a moment."""

    def __init__(self, stopping: threading.Event, *, proxies: int) -> None:
        self._stopping = stopping
        self._proxies = proxies
        self._all = 0
        self._waiting: Counter[str] = Counter()
        self._random = random.Random()  # noqa: S311 - it only spreads

    async def wait(self, request: Incoming) -> None:
        """Return in a moment; at once if the client has gone, the bridge is about to stop, or too many wait already.

        The request forgets all but who asked for what: there may be thousands of them.
        """
        address = request.address(proxies=self._proxies)
        who = address if request.client is STRANGER else request.client.name
        is_watched = request.has_short_body
        request.shed(address)
        if self._all >= _MOST or self._waiting[who] >= _MOST_OF_ONE:
            return
        self._all += 1
        self._waiting[who] += 1
        moment = self._random.uniform(_SHORTEST, _LONGEST) + self._waiting[who] / _REFUSALS_A_SECOND
        try:
            await self._stay(request, min(moment, _PATIENCE), is_watched=is_watched)
        finally:
            self._all -= 1
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    async def _stay(self, request: Incoming, seconds: float, *, is_watched: bool) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        # That a client has gone shows only behind its body, and a long one is not read for that.
        gone = asyncio.ensure_future(request.gone()) if is_watched else loop.create_future()
        try:
            while not gone.done() and not self._stopping.is_set() and (left := end - loop.time()) > 0:
                await asyncio.wait({gone}, timeout=min(left, _LOOK))
        finally:
            gone.cancel()
