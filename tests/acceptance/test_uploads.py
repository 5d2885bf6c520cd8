# SPDX-License-Identifier: Apache-2.0
"""Long bodies through the bridge: at upstream's pace, whole or not at all, and answered whatever happens on the way.

Upstream is a real MLflow behind a door that lets bytes through slowly, or the test itself.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from tests.servers import Server, api_with, running, wait_until
from tests.slow_door import SlowDoor
from tests.system import System

MB = 1_000_000
#: What a client has sent when its upload has begun.
BEGUN = 256 * 1024
RATE = 4 * MB
#: How long, in seconds, upstream or a client may be silent.
SILENCE = 4
PATIENCE = 20
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/0"


@dataclass(frozen=True)
class Bridge:
    url: str
    api: Server
    #: MLflow itself, past the bridge.
    mlflow_url: str
    door: SlowDoor

    @contextmanager
    def sending(self, path: str, framing: str, *, sndbuf: int = 64 * 1024) -> Iterator[socket.socket]:
        """Connect, and send the head of an upload."""
        with _connected(self.url, sndbuf) as client:
            client.sendall(_head(path, framing))
            yield client

    def stored(self, path: str) -> bytes | None:
        """What MLflow has there."""
        answer = requests.get(self.mlflow_url + path, timeout=PATIENCE)
        return answer.content if answer.status_code == 200 else None


def _head(path: str, framing: str) -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}\r\n\r\n".encode()


@contextmanager
def _connected(url: str, sndbuf: int = 64 * 1024) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        client.settimeout(PATIENCE)
        client.connect((parts.hostname, parts.port))
        yield client


@pytest.fixture
def path() -> str:
    return f"{ARTIFACTS}/{uuid4().hex}/artifacts/big.bin"


@pytest.fixture(scope="module")
def bridge(shared_system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with SlowDoor(shared_system.mlflow_url, rate=RATE) as door:
        environ = {
            "BRIDGE_STORE_URL": shared_system.store_url,
            "BRIDGE_UPSTREAM": door.url,
            "BRIDGE_PROXY_TIMEOUT": f"{SILENCE}s",
        }
        api, url = api_with(environ, tmp_path_factory.mktemp("api"))
        with running(api):
            yield Bridge(url, api, shared_system.mlflow_url, door)


@dataclass(frozen=True)
class Ends:
    """A bridge whose upstream is the test itself."""

    url: str
    upstream: socket.socket

    api: Server

    @contextmanager
    def upload(self, length: int) -> Iterator[tuple[socket.socket, "Upstream"]]:
        """Begin an upload, and yield the client's end and upstream's, where its head has arrived."""
        with ExitStack() as stack:
            client = stack.enter_context(_connected(self.url))
            client.sendall(_head("/upload", f"Content-Length: {length}") + bytes(BEGUN))
            upstream, received = self._accepted()
            stack.enter_context(upstream)
            yield client, Upstream(upstream, len(received.partition(b"\r\n\r\n")[2]))

    def _accepted(self) -> tuple[socket.socket, bytes]:
        """Return the upload's connection, and what has come over it. The api also asks upstream for its version."""
        while True:
            upstream = self.upstream.accept()[0]
            upstream.settimeout(PATIENCE)
            received = b""
            while b"\r\n\r\n" not in received:
                received += upstream.recv(1 << 16)
            if b" /version " not in received:
                return upstream, received
            upstream.close()


@dataclass
class Upstream:
    """Upstream's end of a connection."""

    connection: socket.socket
    #: How many bytes of the body have come.
    received: int

    def read(self, length: int) -> None:
        """Read until the body is so long, or ends."""
        with contextlib.suppress(ConnectionError):
            while self.received < length and (arrived := self.connection.recv(1 << 18)):
                self.received += len(arrived)

    def answer(self, status: bytes, body: bytes = b"") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self.connection.sendall(head + body)


@pytest.fixture(scope="module")
def ends(shared_system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(PATIENCE)
        environ = {
            "BRIDGE_STORE_URL": shared_system.store_url,
            "BRIDGE_UPSTREAM": f"http://127.0.0.1:{upstream.getsockname()[1]}",
            "BRIDGE_PROXY_TIMEOUT": f"{SILENCE}s",
        }
        api, url = api_with(environ, tmp_path_factory.mktemp("ends"))
        with running(api):
            yield Ends(url, upstream, api)


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other end closes or breaks the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while arrived := connection.recv(1 << 16):
            received += arrived
    return received


def chunk(sent: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(sent), sent)


@pytest.mark.full
def test_a_slow_upstream_slows_its_client_down_which_then_does_not_wait_long_for_the_answer(
    bridge: Bridge, path: str
) -> None:
    # As long as it takes for what the kernel takes in on the way, some megabytes, to be little beside it.
    body = bytes(range(250)) * (24 * MB // 250)

    with bridge.sending(path, f"Content-Length: {len(body)}") as client:
        began = time.monotonic()
        client.sendall(body)
        sent = time.monotonic()
        answer = everything(client)
        answered = time.monotonic()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answered - began >= len(body) / RATE
    assert answered - sent < (answered - began) * 2 / 3, "the client sent all at once, and then waited"
    assert bridge.stored(path) == body


def test_upstream_gets_bytes_while_the_client_still_has_some(bridge: Bridge, path: str) -> None:
    body = bytes(4 * MB)

    with bridge.sending(path, f"Content-Length: {len(body)}") as client:
        before = bridge.door.passed
        client.sendall(body[: 2 * MB])
        wait_until(lambda: bridge.door.passed - before > MB)
        client.sendall(body[2 * MB :])

        assert everything(client).startswith(b"HTTP/1.1 200 ")

    assert bridge.stored(path) == body


@pytest.mark.parametrize("length", [1000, 1 << 20, (1 << 20) + 1, 5 * MB])
def test_a_body_without_a_length_arrives_with_one(bridge: Bridge, path: str, length: int) -> None:
    body = bytes(range(250)) * (length // 250 + 1)

    with bridge.sending(path, "Transfer-Encoding: chunked") as client:
        client.sendall(b"".join(chunk(body[at : at + 70_000]) for at in range(0, len(body), 70_000)) + b"0\r\n\r\n")

        assert everything(client).startswith(b"HTTP/1.1 200 ")

    assert bridge.stored(path) == body


@pytest.mark.parametrize("length", [1 << 20, (1 << 20) + 1])
def test_a_client_that_waits_for_a_word_before_the_body_gets_it(bridge: Bridge, path: str, length: int) -> None:
    with bridge.sending(path, f"Content-Length: {length}\r\nExpect: 100-continue") as client:
        first = client.recv(1 << 16)
        client.sendall(bytes(length))

        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert everything(client).startswith(b"HTTP/1.1 200 ")

    assert bridge.stored(path) == bytes(length)


def test_what_a_client_has_sent_whole_arrives_although_it_left(bridge: Bridge, path: str) -> None:
    with bridge.sending(path, f"Content-Length: {4 * MB}") as client:
        client.sendall(b"x" * (4 * MB))

    assert wait_until(lambda: bridge.stored(path)) == b"x" * (4 * MB)


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (f"Content-Length: {4 * MB}", bytes(4 * MB - 1)),
        (f"Content-Length: {4 * MB}", bytes(MB)),
        ("Transfer-Encoding: chunked", chunk(bytes(4 * MB))),
    ],
    ids=["all but a byte", "a part", "chunks"],
)
def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    bridge: Bridge, path: str, framing: str, sent: bytes
) -> None:
    with bridge.sending(path, framing) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)

        assert everything(client)[9:12] in (b"400", b"")

    # A whole one to the same place takes as long to arrive as what was left of the other.
    with bridge.sending(f"{path}.after", f"Content-Length: {2 * MB}") as client:
        client.sendall(bytes(2 * MB))
        assert everything(client).startswith(b"HTTP/1.1 200 ")
    assert bridge.stored(path) is None


def test_a_client_that_stops_in_the_middle_gets_408_and_leaves_nothing_behind(bridge: Bridge, path: str) -> None:
    with bridge.sending(path, f"Content-Length: {4 * MB}") as client:
        client.sendall(bytes(2 * MB))
        answer = b""
        while not answer.endswith(b"}"):
            arrived = client.recv(1 << 16)
            assert arrived, answer
            answer += arrived

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert f"{SILENCE} s".encode() in answer
    assert bridge.stored(path) is None


def test_the_connection_to_upstream_is_cut_when_the_client_leaves(ends: Ends) -> None:
    with ends.upload(100 * MB) as (client, upstream):
        client.close()

        upstream.read(100 * MB)

        assert upstream.received < 100 * MB
        assert upstream.connection.recv(1) == b""


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"403 Forbidden", b"507 Insufficient Storage"])
@pytest.mark.parametrize("closes", [True, False], ids=["closes", "waits"])
def test_an_answer_that_comes_early_reaches_a_client_that_still_sends(
    ends: Ends, status: bytes, *, closes: bool
) -> None:
    length = 50 * MB
    with ends.upload(length) as (client, upstream):
        upstream.answer(status, b"why?")
        # Only then: a connection that ends with unread data may lose what it has answered, as TCP allows.
        early = client.recv(1 << 16)
        if closes:
            upstream.connection.close()
        # One that does not look before it has sent all can do so.
        client.sendall(bytes(length - BEGUN))
        answer = early + everything(client)

    assert answer.startswith(b"HTTP/1.1 %s" % status[:3])
    assert answer.endswith(b"\r\n\r\n" + chunk(b"why?") + b"0\r\n\r\n")


def test_a_client_that_sends_no_more_after_an_early_answer_does_not_wait_long_for_its_end(ends: Ends) -> None:
    with ends.upload(50 * MB) as (client, upstream):
        upstream.answer(b"413 Content Too Large", b"why?")
        began = time.monotonic()
        answer = everything(client)

    assert answer.endswith(chunk(b"why?") + b"0\r\n\r\n")
    assert time.monotonic() - began < SILENCE


def test_an_upstream_that_dies_in_the_middle_is_502_to_a_client_that_still_sends(ends: Ends) -> None:
    length = 50 * MB
    with ends.upload(length) as (client, upstream):
        upstream.connection.close()
        client.sendall(bytes(length - BEGUN))
        answer = everything(client)

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"TEMPORARILY_UNAVAILABLE" in answer


@pytest.mark.full
def test_an_upstream_that_takes_nothing_more_is_504(ends: Ends) -> None:
    length = 200 * MB
    with ends.upload(length) as (client, _):
        sender = threading.Thread(target=_send_what_can_be_sent, args=(client, length - BEGUN))
        sender.start()
        answer = client.recv(1 << 16)
        client.shutdown(socket.SHUT_RDWR)
        sender.join()

    assert answer.startswith(b"HTTP/1.1 504 ")


def _send_what_can_be_sent(client: socket.socket, length: int) -> None:
    with contextlib.suppress(OSError):
        client.sendall(bytes(length))


@pytest.mark.full
def test_a_client_that_pauses_for_less_than_that_goes_on(ends: Ends) -> None:
    length = 2 * MB
    with ends.upload(length) as (client, upstream):
        reading = threading.Thread(target=upstream.read, args=(length,))
        reading.start()
        # Together they are longer than upstream may be silent; but it is not upstream that is.
        for _ in range(2):
            time.sleep(SILENCE * 0.7)
            client.sendall(bytes(BEGUN))
        client.sendall(bytes(length - 3 * BEGUN))
        reading.join()
        upstream.answer(b"200 OK")

        assert everything(client).startswith(b"HTTP/1.1 200 ")


def test_a_body_of_any_length_takes_little_memory(ends: Ends) -> None:
    length = 300 * MB
    children = Path(f"/proc/{ends.api.pid}/task/{ends.api.pid}/children").read_text()
    [pid] = [int(child) for child in children.split()]
    with ends.upload(length) as (client, upstream):
        # From now on the highest mark is a new one (proc(5)).
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = _most_held(pid)
        reading = threading.Thread(target=upstream.read, args=(length,))
        reading.start()
        client.sendall(bytes(length - BEGUN))
        reading.join()
        upstream.answer(b"200 OK")
        answer = everything(client)
        growth = _most_held(pid) - before

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert growth < 16 * MB


def _most_held(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
