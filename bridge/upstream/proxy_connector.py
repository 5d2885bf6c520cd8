# SPDX-License-Identifier: Apache-2.0
"""The connections of proxied requests: reuses those that upstream has not closed, and repeats reads.

A server closes idle connections, and a request that is under way at that moment gets no response. To the bridge this
looks as if the request had crashed the server. So a request is repeated once only if this is safe:

* it only reads, or it is a PUT, which is idempotent (RFC 9110, section 9.2.2); and
* the connection had been used before, and ended before a byte of the response.

Any other request may have been executed, and the client gets a 502. It uses a new connection, or one that was used a
moment ago and shows no sign of its end. So upstream would have to close it at the very moment of sending.

The pool and the parser of responses are aiohttp's. Its `ClientSession` is not used: that costs as much as all the rest
of a read. docs/adr/0033-short-requests-without-a-client-session.md
"""

import asyncio
import select
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy
from yarl import URL

from bridge.upstream.connections import IDLE_LIMIT

#: A request that can't be repeated does not use a connection that has been idle for longer. Few servers close idle
#: connections so soon: gunicorn's threads, after 2 s, are the quickest in wide use.
_MAX_IDLE_S = 1.0
#: What aiohttp raises if a connection ends before the head of a response.
_DISCONNECTS = (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError)
#: The status of a final response; others only announce it (RFC 9110, section 15.2). 101 ends the use of HTTP.
_INFORMATIONAL_STATUSES = frozenset(range(100, 200)) - {101}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortRequest:
    """A request with a body that is short enough to be sent at once."""

    method: str
    #: The URL in the encoding in which it is sent.
    url: str
    headers: Iterable[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)
    #: The request is idempotent.
    is_repeatable: bool


class PooledResponse:
    """A response on a connection of the pool, to which the connection returns with the end of the body."""

    def __init__(self, message: Any, content: aiohttp.StreamReader, connection: Connection) -> None:  # noqa: ANN401 - aiohttp's class of parsed heads is not public
        self.status: int = message.code
        self.headers: CIMultiDictProxy[str] = message.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.content = content
        self._connection = connection
        content.on_eof(connection.release)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection, unless the body has been read to its end."""
        self._connection.release()


class Connector(aiohttp.TCPConnector):
    """A connection pool that closes idle connections before upstream does."""

    def __init__(self, *, proxy: str | None, connect_timeout_s: float, read_timeout_s: float) -> None:
        """``proxy`` is the URL of the proxy in front of upstream."""
        super().__init__(limit=0, keepalive_timeout=IDLE_LIMIT.total_seconds())
        self._proxy = URL(proxy) if proxy else None
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._read_timeout_s = read_timeout_s
        self._used_at: WeakKeyDictionary[ResponseHandler, float] = WeakKeyDictionary()
        #: What aiohttp needs to know to connect. It is the same for all requests with one TLS context.
        self._destination: tuple[ssl.SSLContext | None, aiohttp.ClientRequest] | None = None

    async def send(self, request: ShortRequest, tls: ssl.SSLContext | None) -> PooledResponse:
        """Send a request and return the response as soon as its head has arrived.

        Raises ``TimeoutError`` or an error of aiohttp. A repeatable request is sent at most twice.
        """
        destination = self._destination_of(request.url, tls)
        connection, was_used = await self._connection(destination, is_repeatable=request.is_repeatable)
        try:
            return await self._exchange(connection, destination, request)
        except _DISCONNECTS:
            if not (was_used and request.is_repeatable):
                raise
        return await self._exchange(await self._new_connection(destination), destination, request)

    def _destination_of(self, url: str, tls: ssl.SSLContext | None) -> aiohttp.ClientRequest:
        if self._destination is None or self._destination[0] is not tls:
            request = aiohttp.ClientRequest(
                "GET", URL(url, encoded=True), loop=self._loop, proxy=self._proxy, ssl=tls or True
            )
            self._destination = tls, request
        return self._destination[1]

    async def _connection(self, destination: aiohttp.ClientRequest, *, is_repeatable: bool) -> tuple[Connection, bool]:
        """Return a connection, and whether it was used before."""
        while True:
            connection, used_at = await self._any_connection(destination)
            if used_at is None:
                return connection, False
            # A request that may be repeated is sent without a look at the socket.
            if is_repeatable or (monotonic() - used_at <= _MAX_IDLE_S and not _has_ended(connection)):
                return connection, True
            connection.close()

    async def _new_connection(self, destination: aiohttp.ClientRequest) -> Connection:
        while True:
            connection, used_at = await self._any_connection(destination)
            if used_at is None:
                return connection
            connection.close()

    async def _any_connection(self, destination: aiohttp.ClientRequest) -> tuple[Connection, float | None]:
        """Return a connection of the pool or a new one, and when it was last used."""
        connection = await self.connect(destination, [], self._timeout)
        protocol, _ = _protocol_of(connection)
        used_at = self._used_at.get(protocol)
        self._used_at[protocol] = monotonic()
        return connection, used_at

    async def _exchange(
        self, connection: Connection, destination: aiohttp.ClientRequest, request: ShortRequest
    ) -> PooledResponse:
        try:
            protocol, transport = _protocol_of(connection)
            protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=self._read_timeout_s,
            )
            transport.write(_head(request, destination) + request.body)
            protocol.start_timeout()
            message, content = await protocol.read()
            while message.code in _INFORMATIONAL_STATUSES:
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return PooledResponse(message, content, connection)


def _protocol_of(connection: Connection) -> tuple[ResponseHandler, asyncio.Transport]:
    protocol = connection.protocol
    if protocol is None or protocol.transport is None:
        raise aiohttp.ClientConnectionResetError("Upstream closed the connection")
    return protocol, protocol.transport


def _has_ended(connection: Connection) -> bool:
    """Return whether upstream has closed an idle connection, which the event loop may not have noticed yet."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    # Upstream sends nothing on an idle connection, so a readable socket has ended.
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _head(request: ShortRequest, destination: aiohttp.ClientRequest) -> bytes:
    """Return the head of a request as it is sent (RFC 9112, section 3)."""
    headers, own = list(request.headers), destination.headers
    target = request.url[request.url.index("/", request.url.index("://") + len("://")) :]
    # aiohttp has read the credentials that the URLs of upstream and of the proxy may hold.
    if "Authorization" in own and not any(name == "Authorization" for name, _ in headers):
        headers.append(("Authorization", own["Authorization"]))
    if destination.proxy and not destination.is_ssl():
        target = f"{destination.url.origin()}{target}"
        if "Proxy-Authorization" in own:
            headers.append(("Proxy-Authorization", own["Proxy-Authorization"]))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    text = "\r\n".join(lines)
    if text.count("\n") + text.count("\r") != 2 * (len(lines) - 1) or "\0" in text:
        # The server rejects such a request; it must not become a second one.
        raise ValueError("a header holds a line break")
    return f"{text}\r\n\r\n".encode()
