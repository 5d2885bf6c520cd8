# SPDX-License-Identifier: Apache-2.0
"""An upstream on loopback that notes each request to the byte, and answers to the byte what it is told to."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import BinaryIO, Self

#: What it answers, unless it is told otherwise.
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class RecordingUpstream:
    """Serves for as long as the `with` lasts."""

    answer: bytes = OK
    #: Each request as it came, head and body.
    requests: list[bytes] = field(default_factory=list)
    _server: socket.socket = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=200)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def expect(self, answer: bytes = OK) -> None:
        """Forget what came, and answer this from now on."""
        self.answer = answer
        self.requests.clear()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        """Answer what comes on a connection. What follows a request unasked is one more."""
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while request := _one(stream):
                self.requests.append(request)
                # To a HEAD there is no body.
                end = self.answer.find(b"\r\n\r\n") + 4 if request.startswith(b"HEAD ") else None
                connection.sendall(self.answer[:end])


def head_of(request: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the first line, and name, in lower case, and value of each header."""
    first, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return first, [(name.lower(), value.strip()) for name, _, value in pairs]


def _one(stream: BinaryIO) -> bytes:
    """Return the next request, whole; nothing where the connection ends."""
    head = b""
    while (line := stream.readline()) not in (b"\r\n", b""):
        head += line
    head += line
    headers = dict(head_of(head)[1])
    if b"transfer-encoding" not in headers:
        return head + stream.read(int(headers.get(b"content-length", b"0")))
    body = b""
    while not body.endswith(b"0\r\n\r\n") and (line := stream.readline()):
        body += line
    return head + body
