# SPDX-License-Identifier: Apache-2.0
"""Everything that is not queued: sent to upstream while the client waits, and streamed back."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack

from api.http.exceptions import Busy
from api.http.request import Request
from api.http.types import Send
from api.proxy.bodies import Bodies
from api.proxy.overlay import OverlaidReads
from api.proxy.read_your_writes import Headers, ReadYourWrites
from bridge.bootstrap.processes import Api
from bridge.upstream.forwarding import BufferedBody, ForwardedRequest, ForwardedResponse, is_event_stream
from schemas.errors import InvalidWrite

#: How many requests to upstream may be under way, and how long, in seconds, a further one waits for a place.
_MOST = 512
_PATIENCE = 1.0


class Proxy:
    """Answers what upstream is asked."""

    def __init__(self, bridge: Api, barrier: ReadYourWrites) -> None:
        self._forwarding = bridge.forwarding
        self._barrier = barrier
        self._overlaying = OverlaidReads(bridge)
        self._bodies = Bodies(bridge.forwarding, timeout=bridge.settings.proxy_timeout)
        self._places = asyncio.Semaphore(_MOST)

    async def forward(self, request: Request) -> "_Proxied":
        """Return upstream's answer as soon as its beginning is there."""
        if not request.target.startswith("/"):
            raise InvalidWrite("The request's target must be a path.", "BAD_REQUEST")
        async with AsyncExitStack() as stack:
            body = await self._bodies.take_in(request, stack)
            client = request.client.name
            asked = ForwardedRequest(
                method=request.method,
                target=request.target,
                headers=_followed(request),
                body=body,
                client=client,
            )
            whole = body if isinstance(body, BufferedBody) else None
            passed = await self._barrier.pass_through(request, whole, client=client)
            await self._take_place(stack)
            if kind := self._overlaying.kind_of(request, passed):
                answer, read, added = await self._overlaying.forward(request, asked, kind, passed.pending, stack)
                return _Proxied(request, answer, read, (*passed.headers, *added), stack.pop_all())
            answer = await stack.enter_async_context(self._forwarding.forward(asked))
            first = await _beginning(request, answer)
            return _Proxied(request, answer, first, passed.headers, stack.pop_all())

    async def close(self) -> None:
        """Close the connections to upstream."""
        await self._forwarding.close()

    async def _take_place(self, stack: AsyncExitStack) -> None:
        if self._places.locked():
            try:
                await asyncio.wait_for(self._places.acquire(), _PATIENCE)
            except TimeoutError as error:
                raise Busy from error
        else:
            await self._places.acquire()
        stack.callback(self._places.release)


async def _beginning(request: Request, answer: ForwardedResponse) -> bytes | None:
    """Return what there is of the body already, nothing if there is none, None if nobody knows when it begins."""
    if request.method == "HEAD":
        return b""
    return None if is_event_stream(answer.headers) else await anext(answer.body, b"")


class _Proxied:
    """Upstream's answer on its way to the client."""

    def __init__(
        self, request: Request, answer: ForwardedResponse, first: bytes | None, told: Headers, stack: AsyncExitStack
    ) -> None:
        self._request = request
        self._answer = answer
        self._first = first
        self._told = told
        self._stack = stack

    @property
    def beginning(self) -> bytes:
        """What there is of its body already."""
        return self._first or b""

    async def send_to(self, send: Send) -> None:
        """Send it, and stop to read it from upstream when the client has gone."""
        answer, first = self._answer, self._first
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (*answer.headers, *self._told)
        ]
        complete = first is not None and len(first) in (0, _length(answer))
        async with self._stack:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": first or b"", "more_body": not complete})
            if not complete:
                await self._send_rest(send, answer.body)

    async def _send_rest(self, send: Send, body: AsyncIterator[bytes]) -> None:
        sending = asyncio.ensure_future(_copy(body, send))
        gone = asyncio.ensure_future(self._request.gone())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            # The body must not be closed while it is being read.
            await asyncio.wait({sending})


async def _copy(body: AsyncIterator[bytes], send: Send) -> None:
    async for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _length(answer: ForwardedResponse) -> int | None:
    lengths = [value for name, value in answer.headers if name.lower() == "content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdecimal() else None


def _followed(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request, with our id of it and our place in its trace instead of the client's."""
    trace = request.span.trace if request.span else None
    traced = trace.headers if trace else ()
    replaced = {b"x-request-id"} | ({b"traceparent", b"tracestate"} if traced else set())
    headers = (pair for pair in request.headers if pair[0] not in replaced)
    return (*_text(headers), ("x-request-id", request.request_id), *traced)


def _text(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), _value(value)) for name, value in headers)


def _value(value: bytes) -> str:
    """Return a value as the text that it is sent on as: UTF-8, as nearly everybody means it, or else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
