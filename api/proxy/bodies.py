# SPDX-License-Identifier: Apache-2.0
"""The bodies of proxied requests: taken in whole before upstream is asked, or sent on while they come in.

The bridge takes in a short body whole, because it may name runs. The same holds for a body whose length or hash must be
known before its first byte is sent.
"""

import asyncio
import datetime as dt
from contextlib import AsyncExitStack

from api.http.request import ReadTimeout, Request
from bridge.upstream.forwarding import BufferedBody, Forwarding, StreamedBody

#: A body up to this length is taken in whole. It is as long as a spool in memory may be.
_SHORT = 1 << 20
#: So many long ones at a time hold a place at upstream while they come in. That is half of all places, so
#: slow clients leave room for others. A further one is taken in whole.
_MOST = 256
#: A body is written to its spool in pieces of this size, by a thread, for a disk may be slow.
_PIECE = 1 << 20


class Bodies:
    """Takes bodies in."""

    def __init__(self, forwarding: Forwarding, *, timeout: dt.timedelta) -> None:
        """``timeout``: how long a client may pause in the middle."""
        self._forwarding = forwarding
        self._patience = ReadTimeout(seconds=timeout.total_seconds())
        self._places = asyncio.Semaphore(_MOST)

    async def take_in(self, request: Request, stack: AsyncExitStack) -> BufferedBody | StreamedBody | None:
        """Return a request's body, which lasts as long as the stack, None if it has none."""
        if not request.has_body:
            return None
        request.wait_with(self._patience)
        length = request.announced
        # MLflow takes a long body of an unknown length for an empty one in most of its calls.
        is_known = length is not None and length > _SHORT and not request.is_kept
        if length is not None and is_known and self._forwarding.streams and not self._places.locked():
            await self._places.acquire()
            stack.callback(self._places.release)
            request.is_streamed = True
            upload = StreamedBody(length, request.chunks())
            stack.push_async_callback(upload.wait_until_idle)
            return upload
        return await _whole(request, stack)


async def _whole(request: Request, stack: AsyncExitStack) -> BufferedBody:
    spool = BufferedBody()
    stack.callback(spool.close)
    piece = bytearray()
    async for chunk in request.chunks():
        piece += chunk
        if len(piece) >= _PIECE:
            await asyncio.to_thread(spool.write, bytes(piece))
            piece.clear()
    spool.write(bytes(piece))
    return spool
