# SPDX-License-Identifier: Apache-2.0
"""Streams through the bridge: each test is the client and upstream at once, and neither is ahead of the other."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.servers import api_with, running
from tests.system import System

PATIENCE = 20
INVOKE = "/gateway/mlflow/v1/chat/completions"
EVENTS = [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class End:
    """One end of a connection."""

    connection: socket.socket
    received: bytes = field(default=b"")

    def send(self, sent: bytes) -> None:
        self.connection.sendall(sent)

    def until(self, wanted: bytes) -> bytes:
        """All that has come so far, as soon as this is part of it."""
        while wanted not in self.received:
            arrived = self.connection.recv(1 << 16)
            assert arrived, f"the connection ended before {wanted!r}, after {self.received!r}"
            self.received += arrived
        return self.received

    def is_closed(self) -> bool:
        """Whether the other end closes the connection, and sends nothing more."""
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True


@dataclass(frozen=True)
class Way:
    """A bridge whose upstream is the test itself."""

    url: str
    upstream: socket.socket

    @contextmanager
    def ask(self, method: str, target: str, body: bytes = b"") -> Iterator[tuple[End, End]]:
        """Ask, and yield the client's end and upstream's, where the request has arrived."""
        url = urlsplit(self.url)
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with ExitStack() as stack:
            client = stack.enter_context(socket.create_connection((url.hostname, url.port), timeout=PATIENCE))
            client.sendall(head.encode() + body)
            there = self._accepted()
            stack.enter_context(there.connection)
            there.until(b"\r\n\r\n" + body)
            yield End(client), there

    def _accepted(self) -> End:
        """Return upstream's end of the next connection. The api also asks upstream for its version."""
        while True:
            connection = self.upstream.accept()[0]
            connection.settimeout(PATIENCE)
            there = End(connection)
            if b" /version " not in there.until(b"\r\n"):
                return there
            connection.close()


@pytest.fixture(scope="module")
def way(shared_system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        environ = {"BRIDGE_STORE_URL": shared_system.store_url, "BRIDGE_UPSTREAM": url}
        api, url = api_with(environ, tmp_path_factory.mktemp("api"))
        with running(api):
            yield Way(url, upstream)


def chunk(sent: bytes) -> bytes:
    return b"%X\r\n%s\r\n" % (len(sent), sent)


def test_an_event_is_with_the_client_before_upstream_has_the_next(way: Way) -> None:
    with way.ask("POST", INVOKE, b'{"stream": true}') as (client, upstream):
        upstream.send(STREAM)
        client.until(b"\r\n\r\n")
        for event in EVENTS:
            upstream.send(chunk(event))
            client.until(event)
        upstream.send(b"0\r\n\r\n")
        answer = client.until(b"\r\n0\r\n\r\n")

    assert b"".join(chunk(event) for event in EVENTS) in answer
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"content-type: text/event-stream; charset=utf-8" in head
    assert b"cache-control: no-cache" in head
    assert b"x-accel-buffering: no" in head


def test_upstream_hears_when_the_client_of_a_stream_has_gone(way: Way) -> None:
    with way.ask("POST", INVOKE, b'{"stream": true}') as (client, upstream):
        upstream.send(STREAM + chunk(EVENTS[0]))
        client.until(EVENTS[0])
        client.connection.close()

        assert upstream.is_closed()


def test_a_call_that_no_mlflow_knows_yet_is_proxied(way: Way) -> None:
    with way.ask("QUERY", "/api/9.0/mlflow/whatever?x=1", b"{}") as (client, upstream):
        upstream.send(b"HTTP/1.1 299 Found\r\nContent-Length: 3\r\nConnection: close\r\nX-New: n\r\n\r\nyes")
        answer = client.until(b"\r\n\r\nyes")

    assert upstream.received.startswith(b"QUERY /api/9.0/mlflow/whatever?x=1 HTTP/1.1\r\n")
    assert answer.startswith(b"HTTP/1.1 299 ")
    assert b"x-new: n\r\n" in answer
