# SPDX-License-Identifier: Apache-2.0
"""The proxy: forwards calls that are not queued to upstream, and streams the response to the client."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from api.http.request import Request
from api.http.types import Send
from api.portal.security_headers import with_content_policy
from api.proxy.answers import BoundedForwarding, FetchedAnswer, content_length
from api.proxy.bodies import Bodies
from api.proxy.gateway_calls import GatewayCall, is_gateway_call
from api.proxy.overlay import OverlaidReads
from api.proxy.questions import changes_answers, question_of
from api.proxy.read_your_writes import Headers, ReadYourWrites, WaitResult
from api.proxy.shared_reads import MAX_AGE_S, SharedReads
from api.proxy.static_files import StaticFiles
from bridge.errors import StoreUnavailable
from bridge.outbox.read_marks import ReadMarkStore
from bridge.upstream.forwarding import BufferedBody, ForwardedRequest, StreamedBody
from schemas.errors import InvalidWrite


class Proxy:
    """Forwards requests that are not queued."""

    def __init__(  # noqa: PLR0913 - each is a stage of a proxied call
        self,
        forwarding: BoundedForwarding,
        bodies: Bodies,
        read_your_writes: ReadYourWrites,
        shared_reads: SharedReads,
        overlaid_reads: OverlaidReads,
        static_files: StaticFiles,
        marks: ReadMarkStore,
        *,
        uses_client_sessions: bool,
    ) -> None:
        """``uses_client_sessions``: upstream is called with an identity for each client."""
        self._forwarding = forwarding
        self._bodies = bodies
        self._read_your_writes = read_your_writes
        self._shared_reads = shared_reads
        self._overlaid_reads = overlaid_reads
        self._static_files = static_files
        self._marks = marks
        self._uses_client_sessions = uses_client_sessions

    async def forward(self, request: Request) -> "ProxiedResponse":
        """Return upstream's response as soon as its head and the beginning of its body have arrived."""
        if not request.target.startswith("/"):
            raise InvalidWrite("The target of the request must be a path.", "BAD_REQUEST")
        if is_gateway_call(request):
            return await self._call_gateway(request)
        file = self._static_files.key_of(request)
        if file and (found := self._static_files.find(file, request)):
            return ProxiedResponse(request, found, (), AsyncExitStack())
        async with AsyncExitStack() as stack:
            forwarded = _forwarded_request(request, await self._bodies.read(request, stack))
            if file:
                fetched = await self._forwarding.fetch(forwarded, stack, wrap=partial(self._static_files.keep, file))
                return ProxiedResponse(request, fetched, (), stack.pop_all())
            if changes_answers(request):
                return await self._forward_change(request, forwarded, stack)
            return await self._forward_read(request, forwarded, stack)

    async def _call_gateway(self, request: Request) -> "ProxiedResponse":
        """Forward a call of a model. It names no run, so it waits for no write."""
        call = GatewayCall(request)
        async with AsyncExitStack() as stack:
            forwarded = _forwarded_request(request, await self._bodies.read(request, stack, call.observe_body))
            # A compressed response would hide the tokens that it states.
            headers = (pair for pair in forwarded.headers if pair[0] != "accept-encoding")
            plain = replace(forwarded, headers=(*headers, ("accept-encoding", "identity")))
            fetched = await self._forwarding.fetch(plain, stack)
            call.begin_response(fetched.response)
            return ProxiedResponse(request, fetched, (), stack.pop_all(), call)

    async def close(self) -> None:
        """Close the connections to upstream."""
        await self._forwarding.close()

    async def _forward_read(
        self, request: Request, forwarded: ForwardedRequest, stack: AsyncExitStack
    ) -> "ProxiedResponse":
        body = forwarded.body
        waited = await self._wait_for_writes(request, forwarded)
        session = request.client.name if self._uses_client_sessions else ""
        question = question_of(request, body, session=session)
        if kind := self._overlaid_reads.kind_of(request, waited):
            fetched, added = await self._overlaid_reads.forward(request, forwarded, kind, waited, question, stack)
            return ProxiedResponse(request, fetched, (*waited.headers, *added), stack.pop_all())
        fetched = await self._shared_reads.fetch(forwarded, question, waited.settled, stack)
        return ProxiedResponse(request, fetched, waited.headers, stack.pop_all())

    async def _forward_change(
        self, request: Request, forwarded: ForwardedRequest, stack: AsyncExitStack
    ) -> "ProxiedResponse":
        """Forward a call after which no earlier answer may be reused, in any process."""
        waited = await self._wait_for_writes(request, forwarded)
        try:
            fetched = await self._forwarding.fetch(forwarded, stack)
        finally:
            # Also after an error: upstream may have executed the call.
            await self._note_change()
        return ProxiedResponse(request, fetched, waited.headers, stack.pop_all())

    async def _wait_for_writes(self, request: Request, forwarded: ForwardedRequest) -> WaitResult:
        buffered = forwarded.body if isinstance(forwarded.body, BufferedBody) else None
        return await self._read_your_writes.wait(request, buffered, client=request.client.name)

    async def _note_change(self) -> None:
        """Count a change; if that fails, wait until every answer from before is too old to be reused."""
        end = asyncio.get_running_loop().time() + MAX_AGE_S
        try:
            await asyncio.to_thread(self._marks.note_change)
        except StoreUnavailable:
            await asyncio.sleep(end - asyncio.get_running_loop().time())


class ProxiedResponse:
    """Upstream's response on its way to the client."""

    def __init__(
        self,
        request: Request,
        fetched: FetchedAnswer,
        added: Headers,
        stack: AsyncExitStack,
        gateway_call: GatewayCall | None = None,
    ) -> None:
        """``added`` are headers of the bridge. The stack holds the connection to upstream."""
        self._request = request
        self._response = fetched.response
        self._first = fetched.start
        self._is_whole = fetched.is_whole
        self._added = added
        self._stack = stack
        #: The call that the response belongs to, if it is one of MLflow's AI Gateway.
        self.gateway_call = gateway_call

    @property
    def first(self) -> bytes:
        """The first bytes of its body."""
        return self._first or b""

    async def send_to(self, send: Send) -> None:
        """Send the response. Reading from upstream ends when the client disconnects."""
        response, first = self._response, self._first
        all_headers = with_content_policy((*response.headers, *self._added), self._request.path)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in all_headers]
        is_complete = self._is_whole or (first is not None and len(first) in (0, content_length(response)))
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


def _forwarded_request(request: Request, body: BufferedBody | StreamedBody | None) -> ForwardedRequest:
    return ForwardedRequest(
        method=request.method,
        target=request.target,
        headers=_forwarded_headers(request),
        body=body,
        client=request.client.name,
    )


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
