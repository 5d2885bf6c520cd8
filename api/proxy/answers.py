# SPDX-License-Identifier: Apache-2.0
"""Answers of upstream that are complete in memory, and the fetch of an answer from upstream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from api.http.exceptions import Busy
from bridge.upstream.forwarding import ForwardedRequest, ForwardedResponse, Forwarding, is_event_stream, read_up_to

#: Requests to upstream at a time, and how long a further one waits for one of them to end.
_MAX_REQUESTS = 512
_MAX_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class FetchedAnswer:
    """Upstream's answer and the beginning of its body."""

    response: ForwardedResponse
    #: The first bytes; empty for an empty body, None for a stream of events: it may begin late.
    start: bytes | None
    #: Whether ``start`` is the whole body.
    is_whole: bool = False


class BoundedForwarding:
    """Forwards a bounded number of requests at a time, and raises ``Busy`` for those beyond."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding
        self._places = asyncio.Semaphore(_MAX_REQUESTS)

    async def fetch(
        self,
        request: ForwardedRequest,
        stack: AsyncExitStack,
        *,
        wrap: Callable[[ForwardedResponse], ForwardedResponse] | None = None,
    ) -> FetchedAnswer:
        """Return upstream's answer with the first piece of its body. The stack holds the connection.

        ``wrap`` returns the response with a body that it may observe.
        """
        response = await self._open(request, stack)
        response = wrap(response) if wrap else response
        if request.method == "HEAD":
            return FetchedAnswer(response, b"")
        return FetchedAnswer(response, None if is_event_stream(response.headers) else await anext(response.body, b""))

    async def fetch_whole(self, request: ForwardedRequest, stack: AsyncExitStack, *, max_bytes: int) -> FetchedAnswer:
        """Return upstream's answer, with its whole body unless that is longer than ``max_bytes``."""
        response = await self._open(request, stack)
        if (content_length(response) or 0) > max_bytes:
            return FetchedAnswer(response, await anext(response.body, b""))
        if is_event_stream(response.headers):
            return FetchedAnswer(response, None)
        body, is_whole = await read_up_to(max_bytes, response)
        return FetchedAnswer(_with_length(response, len(body)) if is_whole else response, body, is_whole)

    async def close(self) -> None:
        """Close the connections to upstream."""
        await self._forwarding.close()

    async def _open(self, request: ForwardedRequest, stack: AsyncExitStack) -> ForwardedResponse:
        await self._take_place(stack)
        return await stack.enter_async_context(self._forwarding.forward(request))

    async def _take_place(self, stack: AsyncExitStack) -> None:
        if self._places.locked():
            try:
                await asyncio.wait_for(self._places.acquire(), _MAX_WAIT_S)
            except TimeoutError as error:
                raise Busy from error
        else:
            await self._places.acquire()
        stack.callback(self._places.release)


def header_of(response: ForwardedResponse, name: str) -> str:
    """Return the values of a header, joined by commas; empty if there is none."""
    return ", ".join(value for each, value in response.headers if each.lower() == name)


def content_length(response: ForwardedResponse) -> int | None:
    """Return the Content-Length, None if there is none."""
    length = header_of(response, "content-length")
    return int(length) if length.isdecimal() else None


def cached_response(response: ForwardedResponse, *, age_s: float) -> ForwardedResponse:
    """Return the head of a cached response, with its ``Age`` (RFC 9111, section 5.1) and an empty body."""
    return replace(response, headers=(*response.headers, ("Age", str(int(age_s)))), body=_no_body())


def _with_length(response: ForwardedResponse, length: int) -> ForwardedResponse:
    if content_length(response) is not None:
        return response
    return replace(response, headers=(*response.headers, ("Content-Length", str(length))))


async def _no_body() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
