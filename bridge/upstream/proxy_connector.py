# SPDX-License-Identifier: Apache-2.0
"""The connection pool of proxied requests: avoids connections that upstream may have closed, and repeats reads.

A server closes idle connections, and a request that is under way at that moment gets no response. To the bridge this
looks as if the request had crashed the server. So a request is repeated once only if this is safe:

* it only reads, or it is a PUT, which is idempotent (RFC 9110, section 9.2.2); and
* its body can be sent again; and
* the connection had been used before, and ended before a byte of the response.

Any other request may have been executed, and the client gets a 502. It uses a new connection, or one that was used a
moment ago and shows no sign of its end. So upstream would have to close it at the very moment of sending.
"""

import select
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.connector import Connection

from bridge.upstream.connections import IDLE_LIMIT

#: A request that can't be repeated does not use a connection that has been idle for longer. Few servers close idle
#: connections so soon: gunicorn's threads, after 2 s, are the quickest in wide use.
_MAX_IDLE_S = 1.0
#: What aiohttp raises if a connection ends before the head of a response.
_DISCONNECTS = (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError)


class Connector(aiohttp.TCPConnector):
    """A connection pool that closes idle connections before upstream does."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=IDLE_LIMIT.total_seconds())
        self._used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._repeatable: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self._on_used_connection: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self._needs_new_connection: WeakSet[aiohttp.ClientRequest] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: Any,  # noqa: ANN401 - as it is overridden
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """Return a connection for a request."""
        while True:
            connection = await super().connect(req, traces, timeout)
            now = monotonic()
            used_at = self._used_at.get(connection.protocol)
            self._used_at[connection.protocol] = now
            if used_at is None:
                self._on_used_connection.discard(req)
                return connection
            if self._may_use(req, now - used_at) and not _has_ended(connection):
                self._on_used_connection.add(req)
                return connection
            connection.close()

    async def send_once(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request once: aiohttp must not repeat it by itself (aiohttp middleware)."""
        try:
            return await send(request)
        except aiohttp.ClientConnectorError:
            # No connection was made. This is a subclass of `ClientOSError`, but nothing was sent.
            raise
        except _DISCONNECTS as error:
            # Raised as another type, because aiohttp itself would repeat a GET, a PUT or a DELETE on any connection.
            raise aiohttp.ClientConnectionError(type(error).__name__) from error

    async def send_at_most_twice(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request that may be repeated once (aiohttp middleware)."""
        self._repeatable.add(request)
        try:
            return await self.send_once(request, send)
        except aiohttp.ClientConnectionError as error:
            if not isinstance(error.__cause__, _DISCONNECTS) or request not in self._on_used_connection:
                raise
        await request.close()
        self._needs_new_connection.add(request)
        return await self.send_once(request, send)

    def _may_use(self, request: aiohttp.ClientRequest, idle_s: float) -> bool:
        if request in self._needs_new_connection:
            return False
        return request in self._repeatable or idle_s <= _MAX_IDLE_S


def _has_ended(connection: Connection) -> bool:
    """Return whether upstream has closed an idle connection, which the event loop may not have noticed yet."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    # Upstream sends nothing on an idle connection, so a readable socket has ended.
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
