# SPDX-License-Identifier: Apache-2.0
"""An upstream on loopback that ends connections when a test says so, and notes what came over which."""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Self

from tests.recording_upstream import OK


@dataclass
class EndingUpstream:
    """Answers all requests of a connection but those that `dies` names, at which it ends the connection unanswered."""

    #: Number of a connection and of the request on it, both from 0 -> whether the server ends it there.
    dies: Callable[[int, int], bool] = lambda *_: False
    #: Whether a connection is ended after each answer, without a word of it.
    ends_each: bool = False
    #: The connection and the request's bytes, in their order.
    seen: list[tuple[int, bytes]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def lines(self) -> list[tuple[int, str]]:
        """The connection and the first line of each request."""
        return [(number, request.split(b" HTTP")[0].decode()) for number, request in self.seen]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(1000):
                line, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(line, number), daemon=True).start()

    def _serve(self, line: socket.socket, number: int) -> None:
        with line, contextlib.suppress(OSError), line.makefile("rb") as stream:
            for count in range(1000):
                head = b"".join(takewhile(lambda line: line not in (b"\r\n", b""), iter(stream.readline, None)))
                if not head:
                    return
                length = [each for each in head.split(b"\r\n") if each.lower().startswith(b"content-length:")]
                body = stream.read(int(length[0].partition(b":")[2])) if length else b""
                self.seen.append((number, head + body))
                if self.dies(number, count):
                    break
                # To a HEAD there is no body.
                line.sendall(OK.partition(b"{}")[0] if head.startswith(b"HEAD ") else OK)
                if self.ends_each:
                    break
            line.shutdown(socket.SHUT_RDWR)
        self.ended.append(number)
