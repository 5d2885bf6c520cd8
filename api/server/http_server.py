# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server on the event loop: it listens, closes idle connections, and stops without breaking any off."""

import asyncio
import datetime as dt
import socket
import ssl

from api.http.types import Application
from api.server.connection import Connection

#: Connections that wait to be accepted.
_BACKLOG = 1024
#: Idle connections are included: a small number would lock out clients that keep theirs open.
_MAX_CONNECTIONS = 20_000


class HttpServer:
    """Serves an ASGI application."""

    def __init__(self, application: Application, *, idle_timeout: dt.timedelta) -> None:
        """``idle_timeout`` limits the time between two requests, and that of a head."""
        self._application = application
        self._idle_timeout_s = idle_timeout.total_seconds()
        self._connections: set[Connection] = set()
        self._all_closed = asyncio.Event()
        self._is_stopping = False

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections on this socket."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(self._connection, sock=listener, ssl=tls, backlog=_BACKLOG)
        self._close_idle()

    async def stop(self) -> None:
        """Accept no more connections, and return when all requests have their responses."""
        self._is_stopping = True
        self._server.close()
        for connection in list(self._connections):
            connection.stop()
        if self._connections:
            await self._all_closed.wait()

    def _connection(self) -> Connection:
        return Connection(self._application, self._loop, on_open=self._add, on_close=self._remove)

    def _add(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._all_closed.clear()
        # A handshake may end after the stop has begun.
        if self._is_stopping or len(self._connections) > _MAX_CONNECTIONS:
            connection.stop()

    def _remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def _close_idle(self) -> None:
        """Close connections up to a sixth after their timeout: a timer for each of them would cost more."""
        now = self._loop.time()
        for connection in list(self._connections):
            connection.close_if_idle(now, timeout_s=self._idle_timeout_s)
        self._loop.call_later(self._idle_timeout_s / 6, self._close_idle)
