# SPDX-License-Identifier: Apache-2.0
"""The connections of proxied requests: none is used that upstream may have ended, and a read survives one that it has.

A server ends idle connections, and a request that is under way at that moment gets no answer. From here that looks as
if the server had died of the request. So a request is sent once more only if a second time comes to the same:

* it only reads, or it is a PUT, of which RFC 9110, section 9.2.2, says so; and
* its body is still at hand; and
* the connection had been used before, and ended before a byte of the answer.

Any other call may have been carried out, and is answered with 502. It goes over a connection that was used a moment ago
and shows no sign of an end, or over a new one. So upstream would have to end it in the very moment of sending.
"""

import select
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.connector import Connection

from bridge.upstream.connections import IDLE_LIMIT

#: A call that can't be repeated does not use a connection whose last use began longer ago, in seconds. Few servers
#: end idle connections so soon: gunicorn's threads, after 2 s, are the quickest in wide use.
_LATELY = 1.0
#: What aiohttp raises where a connection ends before the head of an answer.
_HUNG_UP = (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError)


class Connector(aiohttp.TCPConnector):
    """Opens connections, and keeps them for less time than upstream does."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=IDLE_LIMIT.total_seconds())
        self._used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._repeatable: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self._on_used: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self._needs_new: WeakSet[aiohttp.ClientRequest] = WeakSet()

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
                self._on_used.discard(req)
                return connection
            if self._may_use(req, now - used_at) and not _has_ended(connection):
                self._on_used.add(req)
                return connection
            connection.close()

    async def once(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request that must not be sent twice. To be used as middleware."""
        try:
            return await send(request)
        except aiohttp.ClientConnectorError:
            # There was no connection, which is a kind of `ClientOSError` as well.
            raise
        except _HUNG_UP as error:
            # By another name, for aiohttp itself would repeat a GET, a PUT or a DELETE on any connection.
            raise aiohttp.ClientConnectionError(type(error).__name__) from error

    async def at_most_twice(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request that may be sent once more. To be used as middleware."""
        self._repeatable.add(request)
        try:
            return await self.once(request, send)
        except aiohttp.ClientConnectionError as error:
            if not isinstance(error.__cause__, _HUNG_UP) or request not in self._on_used:
                raise
        await request.close()
        self._needs_new.add(request)
        return await self.once(request, send)

    def _may_use(self, request: aiohttp.ClientRequest, seconds: float) -> bool:
        if request in self._needs_new:
            return False
        return request in self._repeatable or seconds <= _LATELY


def _has_ended(connection: Connection) -> bool:
    """Return whether upstream has ended an idle connection, which the event loop need not know yet."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    # Nothing is expected on it: what can be read is its end.
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
