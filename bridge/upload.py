# SPDX-License-Identifier: Apache-2.0
"""A request's body that upstream is sent while it comes in, at upstream's pace."""

import asyncio
from collections.abc import AsyncIterator


class Upload:
    """Yields a body once, in pieces. Its last piece is kept back until all of it has come in, and was found right.

    So a body that breaks off never looks whole to upstream, which waits for ``length`` bytes.
    """

    def __init__(self, length: int, chunks: AsyncIterator[bytes]) -> None:
        self.length = length
        #: Whether all of it has come in.
        self.is_complete = False
        #: Why it did not, where that is the client's doing.
        self.failure: Exception | None = None
        self._chunks = chunks
        self._kept_back: bytes | None = None
        self._reading = asyncio.Lock()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: there is no second reading."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, or raise why there is none."""
        async with self._reading:
            while not self.is_complete:
                piece, self._kept_back = self._kept_back, await self._next()
                if self._kept_back is None:
                    self.is_complete = True
                    self._kept_back = piece
                elif piece is not None:
                    return piece
            last, self._kept_back = self._kept_back, None
        if last is None:
            raise StopAsyncIteration
        return last

    async def stopped(self) -> None:
        """Return when nothing is being read from the client; to be asked once the sending has been stopped."""
        async with self._reading:
            pass

    async def _next(self) -> bytes | None:
        try:
            return await anext(self._chunks, None)
        except Exception as error:
            self.failure = error
            raise
