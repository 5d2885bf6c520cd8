# SPDX-License-Identifier: Apache-2.0
"""Lets those wait for their refusal who have asked too often.

Who asks as fast as he is answered would otherwise keep the event loop busy with refusals, and everybody else waiting:
so he gets four a second on each of his connections. He is told to come again in a second or later anyway.
"""

import asyncio
import random

#: In seconds. Not the same for all, for they would all come again at once.
_SHORTEST, _LONGEST = 0.2, 0.3
#: So many are kept waiting at a time; each holds its head.
_MOST = 500


class Restraint:
    """Keeps refusals back for a moment."""

    def __init__(self) -> None:
        self._waiting = 0
        self._random = random.Random()  # noqa: S311 - it only spreads

    async def wait(self) -> None:
        """Return in a moment; at once if too many wait already."""
        if self._waiting < _MOST:
            self._waiting += 1
            try:
                await asyncio.sleep(self._random.uniform(_SHORTEST, _LONGEST))
            finally:
                self._waiting -= 1
