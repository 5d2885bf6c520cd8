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
#: How often, in seconds, it is looked whether the bridge is about to stop.
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
        #: Done when nobody is to wait any longer; looked after as long as somebody does.
        self._over: asyncio.Future[None] | None = None

    async def wait(self, request: Incoming) -> None:
        """Return in a moment; at once if the bridge is about to stop, or too many wait already.

        The request forgets all but who asked for what: there may be thousands of them. Whether a client is still there
        is not looked at, for that costs more than the refusal.
        """
        address = request.address(proxies=self._proxies)
        who = address if request.client is STRANGER else request.client.name
        request.shed(address)
        if self._all >= _MOST or self._waiting[who] >= _MOST_OF_ONE:
            return
        self._all += 1
        self._waiting[who] += 1
        moment = self._random.uniform(_SHORTEST, _LONGEST) + self._waiting[who] / _REFUSALS_A_SECOND
        try:
            await asyncio.wait({self._end()}, timeout=min(moment, _PATIENCE))
        finally:
            self._all -= 1
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def _end(self) -> asyncio.Future[None]:
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
            self._look(self._over)
        return self._over

    def _look(self, over: asyncio.Future[None]) -> None:
        if self._stopping.is_set():
            over.set_result(None)
        elif self._all:
            over.get_loop().call_later(_LOOK, self._look, over)
        else:
            self._over = None
