# SPDX-License-Identifier: Apache-2.0
"""What the server makes of bytes on a socket: requests, bodies in parts, and clients that break the rules."""

import asyncio
import contextlib
import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import uvloop

from api.http.types import Message, Receive, Scope, Send
from api.server.http_server import HttpServer
from tests.servers import wait_until

TIMEOUT_S = 20
END = b"\r\n\r\n"


@dataclass
class Application:
    """Answers with the body that it has read. Its path says how."""

    scopes: list[Scope] = field(default_factory=list)
    disconnects: int = 0
    sent: int = 0
    #: What `/wait` waits for.
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if (answer := _ANSWERS.get(scope["path"])) is not None:
            for message in answer:
                await send(message)
        elif work := getattr(self, f"_{scope['path'][1:]}", None):
            await work(receive, send)
        else:
            await respond(send, await body_of(receive))
        if scope["path"] in FAILING:
            raise RuntimeError("this is what the test is about")
        if scope["path"] == "/cancelled":
            raise asyncio.CancelledError

    async def _wait(self, _: Receive, send: Send) -> None:
        await self.may_end.wait()
        await respond(send, b"waited")

    async def _until_gone(self, receive: Receive, _: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnects += 1

    async def _parts(self, _: Receive, send: Send) -> None:
        await send(start(200))
        for _number in range(100):
            await send(part(b"x" * 100_000, more=True))
            self.sent += 1
        await send(part(b""))


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


#: What is sent at these paths, whatever the request is.
_ANSWERS = {
    "/fail": [],
    "/break-off": [start(200, (b"content-length", b"10")), part(b"12345", more=True)],
    "/break-off-unmarked": [start(200), part(b"12345", more=True)],
    "/cancelled": [],
    "/too-long": [start(200, (b"content-length", b"2")), part(b"12345")],
    "/split": [start(200, (b"x-name", b"a\r\nx-other: b"))],
    "/unread": [start(403, (b"content-length", b"0")), part(b"")],
    "/no-content": [start(204, (b"content-length", b"0")), part(b"")],
}
FAILING = ("/fail", "/break-off", "/break-off-unmarked")


async def respond(send: Send, body: bytes) -> None:
    await send(start(200, (b"content-length", b"%d" % len(body))))
    await send(part(body))


async def body_of(receive: Receive) -> bytes:
    body, has_more = b"", True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body + b" and no more"
        body += message["body"]
        has_more = message["more_body"]
    return body


@dataclass
class Running:
    """A server on an event loop in a thread."""

    application: Application
    port: int
    loop: asyncio.AbstractEventLoop
    server: HttpServer

    def call(self, coroutine: "asyncio.Future[None]") -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TIMEOUT_S)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def exchange(self, *parts: bytes) -> bytes:
        """Send these parts one by one, and return all that comes until the server closes."""
        with self.connect() as client:
            for text in parts:
                client.sendall(text)
            return everything(client)


def everything(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while arrived := client.recv(1 << 16):
            received += arrived
    return received


@contextlib.contextmanager
def serving(idle_timeout: dt.timedelta = dt.timedelta(seconds=60)) -> Iterator[Running]:
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Application, HttpServer]:
        application = Application()
        server = HttpServer(application, idle_timeout=idle_timeout)
        await server.start(listener, None)
        return application, server

    with socket.create_server(("127.0.0.1", 0)) as listener:
        application, server = asyncio.run_coroutine_threadsafe(begin(), loop).result(TIMEOUT_S)
        try:
            yield Running(application, listener.getsockname()[1], loop, server)
        finally:
            loop.call_soon_threadsafe(application.may_end.set)
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(TIMEOUT_S)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(TIMEOUT_S)
            loop.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


def post(path: str, body: bytes, *headers: str, version: str = "1.1", close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: h", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, *(["Connection: close"] if close else [])]).encode() + END + body


def test_a_request_that_arrives_byte_by_byte_is_one_request(server: Running) -> None:
    text = post("/a?b=c", b"body", "X-Name: value ")

    answer = server.exchange(*(text[at : at + 1] for at in range(len(text))))

    scope = server.application.scopes[-1]
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(END + b"body")
    assert (scope["path"], scope["query_string"]) == ("/a", b"b=c")
    assert dict(scope["headers"])[b"x-name"].strip() == b"value"


def test_requests_that_do_not_wait_for_responses_get_them_in_order(server: Running) -> None:
    bodies = [b"%d" % number for number in range(50)]

    answer = server.exchange(b"".join(post("/", body, close=body == bodies[-1]) for body in bodies))

    assert [each.partition(END)[2] for each in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]] == bodies


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense" + END, 400),
        (b"GET / HTTP/2.0" + END, 505),
        (b"GET / HTTP/1.1\r\nHost : h" + END, 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n c" + END, 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3" + END, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4" + END, 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_once_and_the_connection_closed(
    server: Running, text: bytes, status: int
) -> None:
    answer = server.exchange(text + post("/", b"smuggled"))

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"connection: close") == 1
    assert answer.count(b"content-length: ") == 1


def test_a_head_without_end_is_refused(server: Running) -> None:
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nX-Endless: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                client.sendall(b"x" * 10_000)
        answer = everything(client)

    assert answer[:13] in (b"HTTP/1.1 431 ", b"")


def test_a_chunked_body_that_breaks_the_rules_is_cut_off_and_answered(server: Running) -> None:
    answer = server.exchange(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked" + END + b"3\r\nabc\r\n", b"no number\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"abc and no more")
    assert b"connection: close" in answer


def test_an_old_client_keeps_its_connection_only_if_it_says_so(server: Running) -> None:
    keeping = post("/", b"1", "Connection: keep-alive", version="1.0", close=False)

    answer = server.exchange(keeping, post("/", b"2", version="1.0", close=False))
    parts = server.exchange(b"GET /parts HTTP/1.0" + END)

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"connection: keep-alive") == 1
    assert b"transfer-encoding" not in parts
    assert len(parts.partition(END)[2]) == 10_000_000


def test_a_client_that_waits_for_continue_is_told_to(server: Running) -> None:
    text = post("/", b"body", "Expect: 100-continue")

    with server.connect() as client:
        client.sendall(text.removesuffix(b"body"))
        first = client.recv(1024)
        client.sendall(b"body")
        answer = everything(client)

    assert first == b"HTTP/1.1 100 Continue" + END
    assert answer.endswith(b"body")


def test_a_client_whose_body_is_not_read_hears_so_instead_of_continue(server: Running) -> None:
    answer = server.exchange(b"POST /unread HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue" + END)

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"connection: close" in answer or answer.endswith(END)


def test_an_upgrade_is_ignored_and_the_connection_kept(server: Running) -> None:
    asked = post("/", b"one", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x", close=False)

    answer = server.exchange(asked + post("/", b"two"))

    assert [each.partition(END)[2] for each in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("target", "path", "raw", "query"),
    [
        (b"http://other/a%2Fb?c", "/a/b", b"/a%2Fb", b"c"),
        (b"http://other", "/", b"/", b""),
        ("/\u00e9?\u00e9".encode(), "/\u00e9", b"/%C3%A9", b"%C3%A9"),
        (b"/a?b?c#d", "/a", b"/a", b"b?c"),
    ],
)
def test_targets_are_split_and_decoded(server: Running, target: bytes, path: str, raw: bytes, query: bytes) -> None:
    server.exchange(b"GET " + target + b" HTTP/1.1\r\nConnection: close" + END)

    scope = server.application.scopes[-1]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw, query)


def test_responses_without_a_body_have_none(server: Running) -> None:
    head = server.exchange(b"HEAD / HTTP/1.1\r\nConnection: close" + END)
    empty = server.exchange(b"GET /no-content HTTP/1.1\r\nConnection: close" + END)

    assert head.endswith(END)
    assert empty.endswith(END)
    assert b"content-length" not in empty
    assert b"\r\ndate: " in empty


@pytest.mark.parametrize("path", ["/fail", "/split", "/too-long"])
def test_an_application_that_fails_is_a_500(server: Running, path: str) -> None:
    answer = server.exchange(f"GET {path} HTTP/1.1".encode() + END)

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"x-other" not in answer


def test_a_response_that_fails_in_the_middle_is_broken_off(server: Running) -> None:
    answer = server.exchange(b"GET /break-off HTTP/1.1" + END)

    assert b"content-length: 10\r\n" in answer
    assert answer.endswith(END + b"12345")


def test_a_client_that_leaves_is_noticed(server: Running) -> None:
    before = server.application.disconnects

    with server.connect() as client:
        client.sendall(b"GET /until_gone HTTP/1.1" + END)
        wait_until(lambda: server.application.scopes[-1]["path"] == "/until_gone")

    wait_until(lambda: server.application.disconnects == before + 1)


def test_a_client_that_does_not_read_holds_the_response_up(server: Running) -> None:
    before = server.application.sent
    with server.connect() as client:
        client.sendall(b"GET /parts HTTP/1.1\r\nConnection: close" + END)
        client.recv(1)
        wait_until(lambda: server.application.sent > before)
        is_complete = server.application.sent == before + 100
        everything(client)

    assert not is_complete
    wait_until(lambda: server.application.sent == before + 100)


def test_a_client_that_sends_nothing_or_half_a_head_is_left() -> None:
    with serving(idle_timeout=dt.timedelta(milliseconds=300)) as server:
        silent = server.exchange()
        half = server.exchange(b"GET / HTTP/1.1\r\nHost: ")
        kept = server.exchange(post("/", b"1", close=False))

    assert (silent, half) == (b"", b"")
    assert kept.endswith(b"1")


def send_empty_lines(client: socket.socket) -> None:
    for _ in range(400):
        client.sendall(b"\r\n")
        time.sleep(0.05)  # as a client that keeps its connection this way


def test_a_client_that_sends_only_empty_lines_is_left() -> None:
    with (
        serving(idle_timeout=dt.timedelta(milliseconds=300)) as server,
        server.connect() as client,
        pytest.raises(ConnectionError),
    ):
        send_empty_lines(client)


def test_a_client_that_takes_nothing_is_left() -> None:
    with serving(idle_timeout=dt.timedelta(milliseconds=300)) as server, server.connect() as client:
        client.sendall(b"GET /parts HTTP/1.1" + END)
        client.recv(1)
        are_open = server.server.connections
        wait_until(lambda: server.server.connections == 0)

    assert are_open == 1


def test_a_client_that_takes_a_response_slowly_gets_all_of_it() -> None:
    with serving(idle_timeout=dt.timedelta(milliseconds=300)) as server, server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.sendall(b"GET /parts HTTP/1.1\r\nConnection: close" + END)
        taken, began = 0, time.monotonic()
        while arrived := client.recv(1 << 14):
            taken += len(arrived)
            # Twice the timeout for all of it.
            time.sleep(max(0.0, began + taken / 10_000_000 * 0.6 - time.monotonic()))

    assert taken > 10_000_000


def test_a_response_without_a_mark_of_its_end_is_broken_off_by_a_reset(server: Running) -> None:
    with server.connect() as client:
        client.sendall(b"GET /break-off-unmarked HTTP/1.0" + END)
        client.recv(1 << 16, socket.MSG_WAITALL)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_an_application_that_is_cancelled_leaves_no_connection_open(server: Running) -> None:
    answer = server.exchange(b"GET /cancelled HTTP/1.1" + END)

    assert answer.startswith(b"HTTP/1.1 500 ")


def test_chunks_may_have_long_lines_of_size(server: Running) -> None:
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked" + END
    lines = [b"1;" + b"x" * 20_000 + b"\r\n", b"a\r\n"] * 20

    assert server.exchange(head, *lines, b"0" + END).endswith(END + b"a" * 20)


def test_a_client_that_sends_many_requests_at_once_is_served_some_and_left(server: Running) -> None:
    plain = server.exchange(b"GET / HTTP/1.1" + END + b"GET / HTTP/1.1\r\n\r\n" * 2000)
    upgrades = server.exchange(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" * 2000)

    for answer in (plain, upgrades):
        assert 50 < answer.count(b"HTTP/1.1 200 OK\r\n") < 200
        assert answer.endswith(b"connection: close" + END)


def test_a_client_that_leaves_without_waiting_is_served_all_the_same(server: Running) -> None:
    before = len(server.application.scopes)

    with server.connect() as client:
        client.sendall(b"".join(post("/", b"%d" % number, close=False) for number in range(10)))

    wait_until(lambda: len(server.application.scopes) == before + 10)


def test_chunks_of_an_old_client_are_no_request(server: Running) -> None:
    answer = server.exchange(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked" + END + b"0" + END)

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_stop_waits_for_a_request_after_its_client_has_left() -> None:
    with serving() as server:
        with server.connect() as client:
            client.sendall(b"GET /wait HTTP/1.1" + END)
            wait_until(lambda: server.application.scopes != [])
        stopped = asyncio.run_coroutine_threadsafe(server.server.stop(), server.loop)
        with pytest.raises(TimeoutError):
            stopped.result(0.2)

        server.loop.call_soon_threadsafe(server.application.may_end.set)
        stopped.result(TIMEOUT_S)


def test_a_stop_ends_idle_connections_and_waits_for_responses() -> None:
    with serving() as server, server.connect() as idle, server.connect() as busy:
        idle.sendall(post("/", b"1", close=False))
        idle.recv(1024)
        busy.sendall(b"GET /wait HTTP/1.1" + END)
        wait_until(lambda: server.application.scopes[-1]["path"] == "/wait")

        stopped = asyncio.run_coroutine_threadsafe(server.server.stop(), server.loop)
        is_idle_closed = idle.recv(1024) == b""
        with pytest.raises(OSError, match=r"refused|reset"):
            server.connect().recv(1)
        is_stopped = stopped.done()
        server.loop.call_soon_threadsafe(server.application.may_end.set)
        answer = everything(busy)
        stopped.result(TIMEOUT_S)

    assert is_idle_closed
    assert not is_stopped
    assert answer.endswith(b"waited")
    assert b"connection: close" in answer
