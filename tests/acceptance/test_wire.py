# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, leave early or write HTTP in unusual ways, on a socket of their own before the real server."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import api_with, running
from tests.system import System
from tests.upstream_faults import Answer

LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
def body(bridge: System) -> bytes:
    """Logs one value."""
    return json.dumps({"run_id": bridge.create_run(), "key": "m", "value": 1, "timestamp": 1}).encode()


@contextmanager
def connected(to: str) -> Iterator[socket.socket]:
    url = urlsplit(to)
    with socket.create_connection((str(url.hostname), url.port or 80), timeout=20) as connection:
        yield connection


def head(method: str, target: str, headers: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode()


def everything(connection: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    received = b""
    while arrived := connection.recv(1 << 16):
        received += arrived
    return received


def ask(url: str, request: bytes) -> tuple[int, bytes]:
    with connected(url) as connection:
        connection.sendall(request)
        answer = everything(connection)
    return int(answer[9:12]), answer


def test_forty_clients_that_do_not_go_on_with_their_bodies_hold_nobody_up(bridge: System, body: bytes) -> None:
    begun = head("POST", LOG_METRIC, f"{JSON}Content-Length: {len(body)}\r\n")
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(bridge.url)) for _ in range(40)]
        for connection in slow:
            connection.sendall(begun + body[:5])

        statuses = [ask(bridge.url, begun + body)[0] for _ in range(5)]
        ready = bridge.http.get(f"{bridge.url}/healthz", timeout=5).status_code
        for connection in slow:
            connection.sendall(body[5:])
        late = [everything(connection)[9:12] for connection in slow]

    assert statuses == [200] * 5
    assert ready == 200
    assert late == [b"200"] * 40


def test_a_chunked_body_is_a_body(bridge: System, body: bytes) -> None:
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"

    status, answer = ask(bridge.url, head("POST", LOG_METRIC, f"{JSON}Transfer-Encoding: chunked\r\n") + chunked)

    assert status == 200
    assert b"job-id" in answer.lower()


@pytest.mark.parametrize("announced", [True, False])
def test_a_client_whose_body_is_too_long_hears_so_although_it_sends_on(bridge: System, *, announced: bool) -> None:
    length = 10 * 1024 * 1024 + 1
    framing, sent = f"Content-Length: {length}\r\n", b" " * length
    if not announced:
        framing, sent = "Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (length, sent)

    status, answer = ask(bridge.url, head("POST", LOG_METRIC, JSON + framing) + sent)

    assert status == 413
    assert b"REQUEST_TOO_LARGE" in answer


def test_a_client_that_leaves_in_the_middle_of_its_body_has_logged_nothing(bridge: System, body: bytes) -> None:
    with connected(bridge.url) as connection:
        connection.sendall(head("POST", LOG_METRIC, f"{JSON}Content-Length: {len(body) + 1}\r\n") + body)
        connection.shutdown(socket.SHUT_WR)
        everything(connection)

    run_id = json.loads(body)["run_id"]
    backlog = bridge.http.get(f"{bridge.url}/v1/runs/{run_id}/backlog", timeout=5).json()
    assert backlog["pending"] == 0
    assert bridge.history(run_id, "m") == []


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 200000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n30d40\r\n"],
    ids=["length", "chunks"],
)
def test_an_answer_that_upstream_breaks_off_does_not_look_whole(bridge: System, tmp_path: Path, framing: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:

        def break_off() -> None:
            asked = b""
            while b"/get-artifact" not in asked:
                # The api also asks upstream for its version.
                connection, _ = upstream.accept()
                with connection:
                    asked = connection.recv(1 << 16)
                    connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}".encode() + b"x" * 100_000)

        environ = {
            "BRIDGE_STORE_URL": bridge.store_url,
            "BRIDGE_UPSTREAM": f"http://127.0.0.1:{upstream.getsockname()[1]}",
        }
        api, url = api_with(environ, tmp_path)
        with running(api):
            breaking = threading.Thread(target=break_off)
            breaking.start()
            _, answer = ask(url, head("GET", "/get-artifact?run_uuid=x&path=y"))
            breaking.join()

    answered, _, received = answer.partition(b"\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200")
    assert received.count(b"x") == 100_000
    assert not received.endswith(b"0\r\n\r\n")


def test_a_slash_in_a_name_and_bytes_beyond_ascii_reach_upstream_as_they_were_sent(bridge: System) -> None:
    def is_this(_: str, path: str) -> bool:
        return path.endswith("/a%2Fb")

    bridge.front.script(Answer(200, {}, b"ok"), matching=is_this)

    request = head("GET", "/api/2.0/mlflow/a%2Fb?q=%C3%A9")[:-2] + b"X-Note: caf\xc3\xa9\r\n\r\n"
    status, _ = ask(bridge.url, request)

    [call] = bridge.front.wait_for_calls(1, matching=is_this)
    assert status == 200
    assert call.query == "q=%C3%A9"
    assert call.headers["x-note"] == "caf\u00e9"


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/x/../runs/log-metric", "/./version", "/api/%2e%2e/version", "/.."])
def test_no_dot_segment_leads_around_the_queue_or_out_of_upstream(bridge: System, path: str) -> None:
    status, answer = ask(bridge.url, head("GET", path))

    assert status == 400
    assert b"segments" in answer


def test_bytes_beyond_ascii_in_a_target_are_quoted_once(bridge: System) -> None:
    def is_this(_: str, path: str) -> bool:
        return path.startswith("/get-artifact-")

    bridge.front.script(Answer(200, {}, b"ok"), matching=is_this)

    with connected(bridge.url) as connection:
        connection.sendall(
            "GET /get-artifact-é?path=é HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = everything(connection)

    [call] = bridge.front.wait_for_calls(1, matching=is_this)
    assert answer.startswith(b"HTTP/1.1 200")
    assert (call.path, call.query) == ("/get-artifact-%C3%A9", "path=%C3%A9")
