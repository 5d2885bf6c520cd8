# SPDX-License-Identifier: Apache-2.0
"""Shared responses: all clients that poll a route within a second get one response, so ten consoles cost as one.

Permissions are checked before, for each request. A change through a route of this process is seen at once; others after
at most a second.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.http import parse_etags

from api.http.request import Request
from api.http.response import SendableResponse
from api.http.types import Message, Send
from api.routes.app import RoutesApp

#: A response serves requests that come within this time after its route was called.
MAX_AGE_S = 1.0
#: A shared response is made for no client in particular: each compares its own ETag with it.
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
#: The header fields of a 304 (RFC 9110, section 15.4.5) don't describe a body.
_OF_BODY = frozenset({b"content-type", b"content-length"})


class SharedResponses:
    """Responds to requests for the bridge's own routes. All who ask for the same share one call of a shared route."""

    def __init__(self, app: RoutesApp) -> None:
        self.app = app
        #: The latest call by path and query. All are younger than `MAX_AGE_S`, or are dropped with the next one.
        self._calls: dict[tuple[str, bytes], _Call] = {}

    async def respond(self, request: Request) -> SendableResponse:
        """Return the response. That of a route that is not shared runs when it is sent."""
        route = request.own_route
        if route and route.is_shared and request.method == "GET":
            # The call goes on for the others if this client disconnects.
            shared = await asyncio.shield(self._find_call(request).response)
            return shared.for_client(request.header(b"if-none-match"))
        response = await self.app.respond(request)
        return _Change(response, self._forget) if route and route.has_audited_effect else response

    def _forget(self) -> None:
        self._calls = {}

    def _find_call(self, request: Request) -> "_Call":
        """Return the latest call for what the request asks, or a new one."""
        key, now = (request.path, request.scope["query_string"]), asyncio.get_running_loop().time()
        call = self._calls.get(key)
        if call is None or not call.serves(now):
            self._calls = {key: call for key, call in self._calls.items() if call.serves(now)}
            call = self._calls[key] = _Call(now, asyncio.create_task(self._complete(request)))
        return call

    async def _complete(self, request: Request) -> "_CompleteResponse":
        response, messages = await self.app.respond(request, without_headers=_CONDITIONS), list[Message]()

        async def collect(message: Message) -> None:
            messages.append(message)

        await response.send_to(collect)
        start, *parts = messages
        body = b"".join(part.get("body", b"") for part in parts)
        return _CompleteResponse(start["status"], tuple(start["headers"]), body)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a route, for all clients that ask for the same."""

    began: float
    response: "asyncio.Task[_CompleteResponse]"

    def serves(self, now: float) -> bool:
        """Return whether a client that asks now may have the response."""
        return now - self.began <= MAX_AGE_S and not _has_failed(self.response)


def _has_failed(response: "asyncio.Task[_CompleteResponse]") -> bool:
    return response.done() and (response.cancelled() or bool(response.exception()) or response.result().status != 200)


@dataclass(frozen=True, slots=True)
class _CompleteResponse:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def for_client(self, if_none_match: str | None) -> "_CompleteResponse":
        """Return the response, or a 304 if the client has it already (RFC 9110, section 13.1.2)."""
        etag = dict(self.headers).get(b"etag", b"").decode().strip('"')
        if self.status != 200 or not parse_etags(if_none_match).contains_weak(etag):
            return self
        return _CompleteResponse(304, tuple(field for field in self.headers if field[0] not in _OF_BODY), b"")

    async def send_to(self, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class _Change:
    """The response of a route that changes something: what is shared was made before."""

    response: SendableResponse
    forget_shared: Callable[[], None]

    async def send_to(self, send: Send) -> None:
        """Send the response; forget what is shared before the client can have received it."""

        async def forget_first(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.forget_shared()
            await send(message)

        await self.response.send_to(forget_first)
