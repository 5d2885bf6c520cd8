# SPDX-License-Identifier: Apache-2.0
"""Stands in front of a real server on loopback and lets requests through at a limited rate; answers pass at once."""

import contextlib
import socket
import threading
import time
from typing import Self
from urllib.parse import urlsplit

#: Small, so that the kernel takes in little that has not been let through. A window that is larger grows by itself.
_BUFFER = 32 * 1024
_PIECE = 16 * 1024


class SlowDoor:
    """Serves for as long as the `with` lasts."""

    def __init__(self, upstream_url: str, *, rate: float) -> None:
        url = urlsplit(upstream_url)
        self._upstream = (str(url.hostname), url.port or 80)
        #: Bytes a second that each connection lets through.
        self._rate = rate
        #: Bytes that have been let through.
        self.passed = 0

    def __enter__(self) -> Self:
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen(100)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                there, _ = self._server.accept()
                threading.Thread(target=self._let_through, args=(there,), daemon=True).start()

    def _let_through(self, there: socket.socket) -> None:
        with there, socket.create_connection(self._upstream) as here:
            answering = threading.Thread(target=_copy, args=(here, there), daemon=True)
            answering.start()
            with contextlib.suppress(OSError):
                while piece := there.recv(_PIECE):
                    here.sendall(piece)
                    self.passed += len(piece)
                    time.sleep(len(piece) / self._rate)
            _shut(here)
            answering.join()


def _copy(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := here.recv(1 << 16):
            there.sendall(piece)
    _shut(there)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
