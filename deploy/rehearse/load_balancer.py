# SPDX-License-Identifier: Apache-2.0
"""A TCP load balancer on loopback: new connections go to the targets in turn, as those of a rollout do."""

import contextlib
import itertools
import socket
import socketserver
import threading
from typing import Self
from urllib.parse import urlsplit

_CONNECT_TIMEOUT_S = 2.0
_CHUNK_BYTES = 1 << 16


class LoadBalancer(socketserver.ThreadingTCPServer):
    """Forwards each connection to one target. A connection stays where it is when the targets change."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.targets: tuple[str, ...] = ()
        self._turn = itertools.count()

    def __enter__(self) -> Self:
        """Serve in a background thread."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Accept no further connections."""
        self.shutdown()
        self.server_close()

    def connect(self) -> socket.socket | None:
        """Return a connection to the next target that accepts one; None if none does."""
        targets, first = self.targets, next(self._turn)
        for offset in range(len(targets)):
            url = urlsplit(targets[(first + offset) % len(targets)])
            with contextlib.suppress(OSError):
                connection = socket.create_connection((url.hostname or "", url.port or 0), _CONNECT_TIMEOUT_S)
                connection.settimeout(None)
                return connection
        return None


class _Connection(socketserver.BaseRequestHandler):
    server: LoadBalancer

    def handle(self) -> None:
        """Copy both directions until each has ended. Without a target, the client's connection closes."""
        target = self.server.connect()
        if target is None:
            return
        with target:
            back = threading.Thread(target=_copy, args=(target, self.request), daemon=True)
            back.start()
            _copy(self.request, target)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(_CHUNK_BYTES):
            sink.sendall(received)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
