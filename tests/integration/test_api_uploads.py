# SPDX-License-Identifier: Apache-2.0
"""What a client may do in the middle of its body: how long it may pause, and what becomes of the bodies of others."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from api import composition
from api.composition import create_app
from api.http.request import Identity
from api.proxy import bodies
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Scope
from tests.recording_upstream import RecordingUpstream, head_of
from tests.system import ARN, CREDENTIALS

LONG = 2 << 20
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/0/a.bin"
QUEUED = "/api/2.0/mlflow/runs/log-metric"


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as upstream:
        yield upstream


@dataclass
class Asked:
    """A request to the api whose body comes when the test sends it."""

    app: Any
    path: str
    length: int
    method: str = "PUT"
    answer: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        #: Set once there is an answer.
        self.begun = asyncio.Event()
        length = (b"content-length", b"%d" % self.length)
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), length],
            "client": ("127.0.0.1", 1),
        }

    def begin(self) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self.app(self.scope, self._coming.get, self._note))

    def send(self, body: bytes, *, more: bool = True) -> None:
        self._coming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def _note(self, message: dict[str, Any]) -> None:
        self.answer.append(message)
        self.begun.set()

    @property
    def status(self) -> int:
        return int(self.answer[0]["status"])


@asynccontextmanager
async def serving(environ: dict[str, str], upstream: RecordingUpstream | None, **further: str) -> AsyncIterator[Any]:
    """The api on this event loop."""
    settings = read_settings(environ | ({"BRIDGE_UPSTREAM": upstream.url} if upstream else {}) | further)
    app = create_app(build_api(settings))
    try:
        yield app
    finally:
        await app.close()


def run(test: Callable[[], Any]) -> Any:
    return asyncio.run(test())


SIGNED = {"BRIDGE_UPSTREAM": ARN}


@pytest.fixture(params=["streamed", "short", "signed"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS.secret_key)
    monkeypatch.setattr(composition, "_READ_TIMEOUT_S", 0.2)
    return str(request.param)


def settings_of(kind: str, upstream: RecordingUpstream, **further: str) -> dict[str, str]:
    return further | (SIGNED | {"BRIDGE_UPSTREAM_ENDPOINT": upstream.url} if kind == "signed" else {})


def test_a_proxied_body_may_pause_for_as_long_as_upstream_may(
    environ: dict[str, str], upstream: RecordingUpstream, kind: str
) -> None:
    length = 1000 if kind == "short" else LONG

    async def pause() -> int:
        async with serving(environ, upstream, **settings_of(kind, upstream)) as app:
            asked = Asked(app, ARTIFACT, length)
            answering = asked.begin()
            asked.send(bytes(length - 1))
            # Longer than a write may pause here; there is nothing else to wait for.
            await asyncio.sleep(0.5)
            asked.send(b"x", more=False)
            await answering
            return asked.status

    assert run(pause) == 200
    assert upstream.requests[0].endswith(b"\0x")


def test_a_proxied_body_that_pauses_for_longer_is_408(
    environ: dict[str, str], upstream: RecordingUpstream, kind: str
) -> None:
    length = 1000 if kind == "short" else LONG

    async def pause() -> int:
        settings = settings_of(kind, upstream, BRIDGE_PROXY_TIMEOUT="300ms")
        async with serving(environ, upstream, **settings) as app:
            asked = Asked(app, ARTIFACT, length)
            answering = asked.begin()
            asked.send(bytes(length - 1))
            await answering
            return asked.status

    assert run(pause) == 408
    assert [each for each in upstream.requests if len(each) > length] == []


@pytest.mark.parametrize("path", [QUEUED, "/v1/writes", "/v1/jobs/lookup"])
def test_what_is_not_proxied_has_the_short_patience(
    environ: dict[str, str], upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(composition, "_READ_TIMEOUT_S", 0.2)

    async def pause() -> int:
        async with serving(environ, upstream) as app:
            asked = Asked(app, path, 1000, method="POST")
            answering = asked.begin()
            asked.send(b"{")
            await asyncio.wait_for(answering, 3)
            return asked.status

    assert run(pause) == 408


def test_beyond_the_places_for_long_bodies_one_is_taken_in_whole_and_others_are_asked_all_the_same(
    environ: dict[str, str], upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_MAX_STREAMED_BODIES", 2)

    async def crowd() -> list[int]:
        async with serving(environ, upstream) as app:
            slow = [Asked(app, f"{ARTIFACT}.{number}", LONG) for number in range(3)]
            answering = [each.begin() for each in slow]
            for each in slow:
                each.send(bytes(LONG // 2))
            short = Asked(app, "/get", 1)
            short.send(b"x", more=False)
            await short.begin()
            for each in slow:
                each.send(bytes(LONG - LONG // 2), more=False)
            await asyncio.gather(*answering)
            return [each.status for each in (short, *slow)]

    assert run(crowd) == [200, 200, 200, 200]
    whole = [request for request in upstream.requests if head_of(request)[0].startswith(b"PUT /api")]
    assert {len(request.partition(b"\r\n\r\n")[2]) for request in whole} == {LONG}


@pytest.mark.parametrize("is_right", [True, False])
def test_of_a_body_that_is_not_the_one_that_was_signed_upstream_never_has_all(
    environ: dict[str, str], upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch, *, is_right: bool
) -> None:
    body = bytes(LONG)
    signed = hashlib.sha256(body if is_right else body + b"x").hexdigest()

    async def signed_client(_: Any, request: Any) -> Identity:
        request.expect_hash(signed)
        return Identity(Client(name="signs", scopes=(Scope.ADMIN,)))

    monkeypatch.setattr("api.auth.authentication.Authentication.authenticate", signed_client)

    async def send() -> int:
        async with serving(environ, upstream) as app:
            asked = Asked(app, ARTIFACT, LONG)
            answering = asked.begin()
            asked.send(body[: LONG // 2])
            asked.send(body[LONG // 2 :])
            # The server says of the end that there is no more, and nothing with it.
            asked.send(b"", more=False)
            await answering
            return asked.status

    assert run(send) == (200 if is_right else 401)
    whole = [each for each in upstream.requests if len(each.partition(b"\r\n\r\n")[2]) == LONG]
    assert len(whole) == is_right


def test_a_body_counts_for_its_clients_quota_also_after_an_answer_that_comes_before_its_end(
    environ: dict[str, str],
) -> None:
    charged: list[float] = []

    async def send(upstream: socket.socket) -> int:
        url = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        async with serving(environ, None, BRIDGE_UPSTREAM=url, BRIDGE_QUOTA_BYTES="1GiB") as app:
            # What is charged is shown nowhere as exactly.
            rate_limits: Any = app.rate_limits
            charge = rate_limits.charge

            def note(client: Client, more: dict[str, float]) -> None:
                charged.append(more["bytes"])
                charge(client, more)

            rate_limits.charge = note
            asked = Asked(app, ARTIFACT, LONG)
            answering = asked.begin()
            # The first of two is sent on; the other may be the last, and is kept back.
            asked.send(bytes(1000))
            asked.send(bytes(1000))
            await asked.begun.wait()
            asked.send(bytes(LONG - 2000), more=False)
            await answering
            return asked.status

    with socket.create_server(("127.0.0.1", 0)) as upstream:
        refusing = threading.Thread(target=_refuse, args=(upstream,))
        refusing.start()
        assert asyncio.run(send(upstream)) == 413
        refusing.join()
    assert sum(charged) == LONG


def _refuse(upstream: socket.socket) -> None:
    """Answer one request, as soon as its head is there, and read what comes until it ends."""
    connection, _ = upstream.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        while connection.recv(1 << 16):
            pass
