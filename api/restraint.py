# SPDX-License-Identifier: Apache-2.0
"""Lets those wait for their refusal who have asked too often.

Who asks as fast as he is answered would otherwise keep the event loop busy with refusals, and everybody else waiting.
The more of his requests wait, the longer each of them does, so that nobody gets more than 250 refusals a second on
up to a thousand connections. He is told to come again in a second or later anyway.
"""

import asyncio
import random
from collections import Counter

#: In seconds. Not the same for all, for they would all come again at once.
_SHORTEST, _LONGEST = 0.2, 0.3
_REFUSALS_A_SECOND = 250
#: Nobody waits for longer, also in seconds: before clients give up, or a stop has to wait for it.
_PATIENCE = 5.0
#: In bytes: what all that wait may hold, and what one does, beside its head, which it has as bytes and as text.
_ROOM = 64 * 1024 * 1024
_EACH = 16 * 1024


class Restraint:
    """Keeps refusals back for a moment."""

    def __init__(self) -> None:
        self._held = 0
        self._waiting: Counter[str] = Counter()
        self._random = random.Random()  # noqa: S311 - it only spreads

    async def wait(self, who: str, *, head: int) -> None:
        """Return in a moment; at once if those who wait already hold as much as they may. A head's size is in bytes."""
        size = _EACH + 2 * head
        if self._held + size > _ROOM:
            return
        self._held += size
        self._waiting[who] += 1
        moment = self._random.uniform(_SHORTEST, _LONGEST) + self._waiting[who] / _REFUSALS_A_SECOND
        try:
            await asyncio.sleep(min(moment, _PATIENCE))
        finally:
            self._held -= size
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]
