# SPDX-License-Identifier: Apache-2.0
"""Everything that is not queued: sent to upstream while the client waits, and streamed back.

A thread is taken while upstream is waited for, never while the client is.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from api.asgi_types import Send
from api.bulkhead import Threads
from api.incoming import Incoming
from bridge.bootstrap import Api
from bridge.spool import Spool
from bridge.upstream import Answer, Request, Upstream
from schemas.errors import InvalidWrite

#: What a client sends is written to the spool in pieces of this size, for each of them takes a thread for a moment.
_PIECE = 1 << 20


class Proxy:
    """Answers what upstream is asked."""

    def __init__(self, bridge: Api) -> None:
        self._upstream = bridge.upstream
        self._threads = Threads(count=bridge.settings.api_threads, name="proxy")

    async def forward(self, request: Incoming) -> "_Proxied":
        """Return upstream's answer as soon as its beginning is there."""
        if not request.target.startswith("/"):
            raise InvalidWrite("The request's target must be a path.", "BAD_REQUEST")
        with ExitStack() as stack:
            spool = Spool()
            stack.callback(spool.close)
            await self._take_in(request, spool)
            asked = Request(
                method=request.method,
                target=request.target,
                headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers),
                body=spool,
            )
            begun = await self._threads.begin(lambda: _begin(self._upstream, asked))
        return _Proxied(request, self._threads, begun)

    async def _take_in(self, request: Incoming, spool: Spool) -> None:
        piece = bytearray()
        async for chunk in request.chunks():
            piece += chunk
            if len(piece) >= _PIECE:
                full, piece = bytes(piece), bytearray()
                await self._threads.go_on(lambda full=full: spool.write(full))  # type: ignore[misc]
        spool.write(bytes(piece))


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer of which the first bytes are there."""

    answer: Answer
    first: bytes
    #: None if the first bytes are all there are; else to be closed.
    rest: ExitStack | None


def _begin(upstream: Upstream, asked: Request) -> _Begun:
    with ExitStack() as stack:
        answer = stack.enter_context(upstream.forward(asked))
        if asked.method == "HEAD":
            return _Begun(answer, b"", None)
        first = next(answer.body, b"")
        if len(first) == _length(answer) or not first:
            return _Begun(answer, first, None)
        return _Begun(answer, first, stack.pop_all())


def _length(answer: Answer) -> int | None:
    lengths = [value for name, value in answer.headers if name.lower() == "content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdecimal() else None


class _Proxied:
    """Upstream's answer on its way to the client."""

    def __init__(self, request: Incoming, threads: Threads, begun: _Begun) -> None:
        self._request = request
        self._threads = threads
        self._begun = begun

    async def send_to(self, send: Send) -> None:
        """Send it, and stop to read it from upstream when the client has gone."""
        answer, rest = self._begun.answer, self._begun.rest
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": self._begun.first, "more_body": rest is not None})
            if rest:
                await self._send_rest(send, answer.body)
        finally:
            if rest:
                rest.close()

    async def _send_rest(self, send: Send, body: Iterator[bytes]) -> None:
        gone = asyncio.ensure_future(self._request.gone())
        try:
            while chunk := await self._threads.go_on(lambda: next(body, b"")):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
