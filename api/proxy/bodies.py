# SPDX-License-Identifier: Apache-2.0
"""The bodies of proxied requests: buffered before upstream is called, or streamed to it.

A short body is buffered, because it may name runs. So is a body if its length or hash must be known before its first
byte is sent.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

from api.http.request import ReadTimeout, Request
from bridge.upstream.forwarding import BufferedBody, Forwarding, StreamedBody

#: A body up to this length is buffered; as much as a buffer keeps in memory.
_MAX_SHORT_BODY_BYTES = 1 << 20
#: Bodies that are streamed at a time, each of which holds a connection to upstream. This is half of all connections,
#: so that slow clients leave some for others. Further bodies are buffered.
_MAX_STREAMED_BODIES = 256
#: A body is written to its buffer in pieces of this length, in a thread, because a disk may be slow.
_PIECE_BYTES = 1 << 20


class Bodies:
    """Reads the bodies of proxied requests."""

    def __init__(self, forwarding: Forwarding, *, read_timeout: dt.timedelta) -> None:
        self._forwarding = forwarding
        self._read_timeout = ReadTimeout(seconds=read_timeout.total_seconds())
        self._places = asyncio.Semaphore(_MAX_STREAMED_BODIES)

    async def read(
        self,
        request: Request,
        stack: AsyncExitStack,
        observe: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] = lambda chunks: chunks,
    ) -> BufferedBody | StreamedBody | None:
        """Return the body of a request until the stack is closed, None if there is none.

        ``observe`` yields the chunks of the body unchanged, and may read them.
        """
        if not request.has_body:
            return None
        request.set_read_timeout(self._read_timeout)
        length = request.content_length
        # Most calls of MLflow take a body without a Content-Length for an empty one, so those are buffered.
        is_long = length is not None and length > _MAX_SHORT_BODY_BYTES and not request.is_buffered
        if length is not None and is_long and self._forwarding.can_stream and not self._places.locked():
            await self._places.acquire()
            stack.callback(self._places.release)
            request.is_streamed = True
            body = StreamedBody(length, observe(request.body_chunks()))
            stack.push_async_callback(body.wait_until_idle)
            return body
        return await _buffered(observe(request.body_chunks()), stack)


async def _buffered(chunks: AsyncIterator[bytes], stack: AsyncExitStack) -> BufferedBody:
    """Return the whole body in a buffer, which the stack closes."""
    body = BufferedBody()
    stack.callback(body.close)
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= _PIECE_BYTES:
            await asyncio.to_thread(body.write, bytes(piece))
            piece.clear()
    body.write(bytes(piece))
    return body
