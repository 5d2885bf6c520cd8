# SPDX-License-Identifier: Apache-2.0
"""The proxy: forwards calls that are not queued to upstream, and streams the response to the client."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace

from api.http.exceptions import Busy
from api.http.request import Request
from api.http.types import Send
from api.portal.security_headers import with_content_policy
from api.proxy.bodies import Bodies
from api.proxy.gateway_calls import GatewayCall, is_gateway_call
from api.proxy.overlay import OverlaidReads
from api.proxy.read_your_writes import Headers, ReadYourWrites
from bridge.upstream.forwarding import (
    BufferedBody,
    ForwardedRequest,
    ForwardedResponse,
    Forwarding,
    StreamedBody,
    is_event_stream,
)
from schemas.errors import InvalidWrite

#: Requests to upstream at a time, and how long a further one waits until one of them ends.
_MAX_REQUESTS = 512
_MAX_WAIT_S = 1.0


class Proxy:
    """Forwards requests."""

    def __init__(
        self, forwarding: Forwarding, bodies: Bodies, read_your_writes: ReadYourWrites, overlaid_reads: OverlaidReads
    ) -> None:
        self._forwarding = forwarding
        self._bodies = bodies
        self._read_your_writes = read_your_writes
        self._overlaid_reads = overlaid_reads
        self._places = asyncio.Semaphore(_MAX_REQUESTS)

    async def forward(self, request: Request) -> "ProxiedResponse":
        """Return upstream's response as soon as its head and the beginning of its body are there."""
        if not request.target.startswith("/"):
            raise InvalidWrite("The target of the request must be a path.", "BAD_REQUEST")
        if is_gateway_call(request):
            return await self._call_gateway(request)
        async with AsyncExitStack() as stack:
            body = await self._bodies.read(request, stack)
            client = request.client.name
            forwarded = _forwarded(request, body)
            buffered = body if isinstance(body, BufferedBody) else None
            waited = await self._read_your_writes.wait(request, buffered, client=client)
            await self._take_place(stack)
            if kind := self._overlaid_reads.kind_of(request, waited):
                response, start, added = await self._overlaid_reads.forward(
                    request, forwarded, kind, waited.pending, stack
                )
                return ProxiedResponse(request, response, start, (*waited.headers, *added), stack.pop_all())
            response = await stack.enter_async_context(self._forwarding.forward(forwarded))
            first = await _first_chunk(request, response)
            return ProxiedResponse(request, response, first, waited.headers, stack.pop_all())

    async def _call_gateway(self, request: Request) -> "ProxiedResponse":
        """Forward a call of a model. It names no run, so it waits for no write."""
        call = GatewayCall(request)
        async with AsyncExitStack() as stack:
            forwarded = _forwarded(request, await self._bodies.read(request, stack, call.observed))
            # A compressed response would hide the tokens that it states.
            headers = (pair for pair in forwarded.headers if pair[0] != "accept-encoding")
            await self._take_place(stack)
            plain = replace(forwarded, headers=(*headers, ("accept-encoding", "identity")))
            response = await stack.enter_async_context(self._forwarding.forward(plain))
            call.begin_response(response)
            first = await _first_chunk(request, response)
            return ProxiedResponse(request, response, first, (), stack.pop_all(), call)

    async def close(self) -> None:
        """Close the connections to upstream."""
        await self._forwarding.close()

    async def _take_place(self, stack: AsyncExitStack) -> None:
        if self._places.locked():
            try:
                await asyncio.wait_for(self._places.acquire(), _MAX_WAIT_S)
            except TimeoutError as error:
                raise Busy from error
        else:
            await self._places.acquire()
        stack.callback(self._places.release)


async def _first_chunk(request: Request, response: ForwardedResponse) -> bytes | None:
    """Return the first bytes of the body, empty if it has none, None for a stream of events: it may begin late."""
    if request.method == "HEAD":
        return b""
    return None if is_event_stream(response.headers) else await anext(response.body, b"")


class ProxiedResponse:
    """Upstream's response on its way to the client."""

    def __init__(
        self,
        request: Request,
        response: ForwardedResponse,
        first: bytes | None,
        added: Headers,
        stack: AsyncExitStack,
        gateway_call: GatewayCall | None = None,
    ) -> None:
        """``added`` are headers of the bridge. The stack holds the connection to upstream."""
        self._request = request
        self._response = response
        self._first = first
        self._added = added
        self._stack = stack
        #: What the response answers, if it is a call of MLflow's AI Gateway.
        self.gateway_call = gateway_call

    @property
    def first(self) -> bytes:
        """The first bytes of its body."""
        return self._first or b""

    async def send_to(self, send: Send) -> None:
        """Send it. Reading from upstream ends when the client disconnects."""
        response, first = self._response, self._first
        all_headers = with_content_policy((*response.headers, *self._added), self._request.path)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in all_headers]
        is_complete = first is not None and len(first) in (0, _content_length(response))
        async with self._stack:
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": first or b"", "more_body": not is_complete})
            self._note_sent(first or b"")
            if not is_complete:
                await self._send_rest(send, response.body)

    async def _send_rest(self, send: Send, body: AsyncIterator[bytes]) -> None:
        sending = asyncio.ensure_future(self._copy(body, send))
        disconnected = asyncio.ensure_future(self._request.disconnected())
        try:
            await asyncio.wait({sending, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            disconnected.cancel()
            # The body must not be closed while it is being read.
            await asyncio.wait({sending})

    async def _copy(self, body: AsyncIterator[bytes], send: Send) -> None:
        async for chunk in body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._note_sent(chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _note_sent(self, chunk: bytes) -> None:
        """Count the tokens of a chunk that the client has already."""
        if self.gateway_call:
            self.gateway_call.feed(chunk)


def _forwarded(request: Request, body: BufferedBody | StreamedBody | None) -> ForwardedRequest:
    return ForwardedRequest(
        method=request.method,
        target=request.target,
        headers=_forwarded_headers(request),
        body=body,
        client=request.client.name,
    )


def _content_length(response: ForwardedResponse) -> int | None:
    lengths = [value for name, value in response.headers if name.lower() == "content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdecimal() else None


def _forwarded_headers(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request, with the bridge's request id and trace context in place of the client's."""
    trace = request.span.trace if request.span else None
    traced = trace.headers if trace else ()
    replaced = {b"x-request-id"} | ({b"traceparent", b"tracestate"} if traced else set())
    headers = (pair for pair in request.headers if pair[0] not in replaced)
    return (*_texts(headers), ("x-request-id", request.request_id), *traced)


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), _text(value)) for name, value in headers)


def _text(value: bytes) -> str:
    """Decode a header as UTF-8, which nearly all clients mean, or else as Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
