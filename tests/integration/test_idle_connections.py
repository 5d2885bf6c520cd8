# SPDX-License-Identifier: Apache-2.0
"""Connections that upstream ends: when the bridge still uses one, and what is sent once more."""

import asyncio
import contextlib
import datetime as dt
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvicorn

from bridge.errors import UpstreamTimeout, UpstreamUnreachable
from bridge.process.clock import SystemClock
from bridge.upstream import Call, Delivered, Unknown, connections
from bridge.upstream import proxy_connector as connector
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.connections import IDLE_LIMIT
from bridge.upstream.forwarding import BufferedBody, ForwardedRequest
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.http_proxy import HttpForwarding
from tests.ending_upstream import EndingUpstream
from tests.servers import wait_until

SECONDS = dt.timedelta(seconds=2)
CREATE, SEARCH = "/api/2.0/mlflow/experiments/create", "/api/2.0/mlflow/runs/search"
GET_RUN, ARTIFACT = "/api/2.0/mlflow/runs/get?run_id=r", "/api/2.0/mlflow-artifacts/artifacts/0/a"
LOG, READ = Call(path="/api/2.0/mlflow/runs/log-batch", body=b"{}"), Call(path=SEARCH, body=b"{}", reads=True)


class _Hop:
    known = "mlflow-bridge-0123456789abcdef"

    def name(self) -> str:
        return self.known


@contextlib.contextmanager
def request(method: str, target: str, body: bytes | None = None) -> Iterator[ForwardedRequest]:
    spool = BufferedBody()
    spool.write(body or b"")
    with contextlib.closing(spool):
        yield ForwardedRequest(method=method, target=target, headers=(), body=None if body is None else spool)


def forwarded(upstream: EndingUpstream, work: Callable[["Ask"], Awaitable[None]]) -> None:
    """Do some work with a way of proxied requests."""

    async def main() -> None:
        way = HttpForwarding(
            Endpoint(url=upstream.url), None, instance_id=_Hop(), connect_timeout=SECONDS, read_timeout=SECONDS
        )

        async def ask(method: str, target: str, body: bytes | None = None) -> int:
            with request(method, target, body) as asked:
                async with way.forward(asked) as answer:
                    async for _ in answer.body:
                        pass
                    return answer.status

        await work(ask)
        await way.close()

    asyncio.run(main())


Ask = Callable[..., Awaitable[int]]


def way_of_calls(upstream: EndingUpstream) -> HttpUpstream:
    return HttpUpstream(
        Endpoint(url=upstream.url), None, clock=SystemClock(), connect_timeout=SECONDS, read_timeout=SECONDS
    )


def test_connections_are_kept_for_less_time_than_mlflows_server_keeps_them() -> None:
    kept = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default

    assert dt.timedelta(seconds=kept) - IDLE_LIMIT >= dt.timedelta(seconds=1)


def test_a_proxied_call_does_not_use_a_connection_that_was_idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "IDLE_LIMIT", dt.timedelta(milliseconds=200))

    async def work(ask: Ask) -> None:
        for pause in (0, 0, 0.3, 0):
            # A connection gets old in no other way.
            await asyncio.sleep(pause)
            assert await ask("GET", GET_RUN) == 200

    with EndingUpstream() as upstream:
        forwarded(upstream, work)
        assert [number for number, _ in upstream.lines] == [0, 0, 1, 1]


def test_a_call_that_is_never_repeated_uses_a_connection_of_a_moment_ago_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(connector, "monotonic", lambda: now[0])

    async def work(ask: Ask) -> None:
        for pause in (0, 0.9, 1.1):
            now[0] += pause
            assert await ask("POST", CREATE, b"{}") == 200
        now[0] += 1.1
        assert await ask("GET", GET_RUN) == 200

    with EndingUpstream() as upstream:
        forwarded(upstream, work)
        assert [number for number, _ in upstream.lines] == [0, 0, 1, 1]


@pytest.mark.parametrize("reads", [True, False])
def test_a_delivery_does_not_use_a_connection_that_was_idle_for_long(
    monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    now = [0.0]
    monkeypatch.setattr(connections, "monotonic", lambda: now[0])
    limit = IDLE_LIMIT.total_seconds()
    with EndingUpstream() as upstream:
        way = way_of_calls(upstream)
        for seconds in (0, limit - 0.1, limit - 0.1, limit + 0.1, 1):
            now[0] += seconds
            assert isinstance(way.send(READ if reads else LOG), Delivered)
        assert [number for number, _ in upstream.lines] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", GET_RUN, None),
        ("HEAD", "/health", None),
        ("GET", "/a/path/that/nobody/knows", None),
        ("POST", SEARCH, b'{"filter":"x"}'),
        ("POST", f"/ajax-api{SEARCH.removeprefix('/api')}", b"{}"),
        ("PUT", ARTIFACT, b"content"),
    ],
)
def test_what_comes_to_the_same_is_sent_once_more_over_a_new_connection(
    method: str, target: str, body: bytes | None
) -> None:
    async def work(ask: Ask) -> None:
        assert await ask("GET", GET_RUN) == 200
        assert await ask(method, target, body) == 200

    with EndingUpstream(dies=lambda number, count: (number, count) == (0, 1)) as upstream:
        forwarded(upstream, work)

        assert upstream.lines[1:] == [(0, f"{method} {target}"), (1, f"{method} {target}")]
        assert upstream.seen[1][1] == upstream.seen[2][1]
        assert upstream.seen[2][1].endswith(body or b"\r\n")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", CREATE, b"{}"),
        ("POST", "/api/2.0/mlflow/runs/create", b"{}"),
        ("DELETE", ARTIFACT, None),
        ("PATCH", "/api/2.0/mlflow/registered-models/update", b"{}"),
        ("POST", "/a/path/that/nobody/knows", b"{}"),
    ],
)
def test_what_may_have_been_done_is_not_sent_again(method: str, target: str, body: bytes | None) -> None:
    async def work(ask: Ask) -> None:
        assert await ask("GET", GET_RUN) == 200
        with pytest.raises(UpstreamUnreachable):
            await ask(method, target, body)

    with EndingUpstream(dies=lambda number, count: (number, count) == (0, 1)) as upstream:
        forwarded(upstream, work)

        assert upstream.lines[1:] == [(0, f"{method} {target}")]


@pytest.mark.parametrize("breaks", [False, True], ids=["accepted", "broken off"])
def test_a_long_body_is_sent_once_over_a_new_connection(*, breaks: bool) -> None:
    async def work(ask: Ask) -> None:
        assert await ask("GET", GET_RUN) == 200
        with pytest.raises(UpstreamUnreachable) if breaks else contextlib.nullcontext():
            assert await ask("PUT", ARTIFACT, b"x" * 300_000) == 200

    with EndingUpstream(dies=lambda number, _: breaks and number == 1) as upstream:
        forwarded(upstream, work)

        assert upstream.lines[1:] == [(1, f"PUT {ARTIFACT}")]


def test_a_request_is_sent_twice_at_most_and_not_again_on_a_new_connection() -> None:
    async def work(ask: Ask) -> None:
        with pytest.raises(UpstreamUnreachable):
            await ask("GET", "/first")
        dies[0] = False
        assert await ask("GET", "/second") == 200
        dies[0] = True
        with pytest.raises(UpstreamUnreachable):
            await ask("GET", "/third")

    dies = [True]
    with EndingUpstream(dies=lambda *_: dies[0]) as upstream:
        forwarded(upstream, work)

        assert upstream.lines == [(0, "GET /first"), (1, "GET /second"), (1, "GET /third"), (2, "GET /third")]


@pytest.mark.parametrize(("method", "target"), [("POST", CREATE), ("DELETE", ARTIFACT), ("GET", GET_RUN)])
def test_an_end_that_the_event_loop_has_not_noticed_yet_is_seen_before_anything_is_sent(
    method: str, target: str
) -> None:
    async def work(ask: Ask) -> None:
        assert await ask("POST", CREATE, b"{}") == 200
        # Nothing is awaited: the loop can't know that the server ends the connection now.
        wait_until(lambda: upstream.ended == [0], timeout=5, every=0.005)
        assert await ask(method, target) == 200

    with EndingUpstream(ends_each=True) as upstream:
        forwarded(upstream, work)

        assert upstream.lines[1:] == [(1, f"{method} {target}")]


def test_who_waits_in_vain_does_not_ask_again() -> None:
    async def work(ask: Ask) -> None:
        assert await ask("GET", GET_RUN) == 200
        with pytest.raises(UpstreamTimeout):
            await ask("GET", "/slow")

    def hang(_: int, count: int) -> bool:
        if count:
            # Longer than the bridge waits.
            time.sleep(2.5)
        return False

    with EndingUpstream(dies=hang) as upstream:
        forwarded(upstream, work)

        assert [line for _, line in upstream.lines].count("GET /slow") == 1


def test_a_call_that_asks_is_sent_once_more_and_one_that_writes_is_left_to_its_lane() -> None:
    with EndingUpstream(dies=lambda number, count: count == 1 and number < 2) as upstream:
        way = way_of_calls(upstream)
        assert isinstance(way.send(LOG), Delivered)
        assert isinstance(way.send(READ), Delivered)
        assert isinstance(way.send(LOG), Unknown)
        assert isinstance(way.send(LOG), Delivered)

        paths = [(number, line.rpartition("/")[2]) for number, line in upstream.lines]
        assert paths == [(0, "log-batch"), (0, "search"), (1, "search"), (1, "log-batch"), (2, "log-batch")]


def test_after_a_restart_of_upstream_no_other_old_connection_is_tried() -> None:
    together = threading.Barrier(3)

    def meet(number: int, count: int) -> bool:
        if count == 0 and number < 3:
            # So that each of them has a connection of its own.
            together.wait(5)
        return count > 0

    async def work(ask: Ask) -> None:
        assert await asyncio.gather(*(ask("GET", GET_RUN) for _ in range(3))) == [200] * 3
        assert await ask("GET", "/again") == 200

    with EndingUpstream(dies=meet) as upstream:
        forwarded(upstream, work)

        assert [line for _, line in upstream.lines].count("GET /again") == 2
        assert upstream.lines[-1] == (3, "GET /again")


def test_an_exchange_that_needs_a_new_connection_gets_one() -> None:
    with EndingUpstream() as upstream:
        way = way_of_calls(upstream)
        way.send(READ)
        with connections.on_fresh_connection():
            way.send(READ)
        way.send(READ)

        assert [number for number, _ in upstream.lines] == [0, 1, 1]


def test_a_new_connection_that_dies_is_not_followed_by_another() -> None:
    with EndingUpstream(dies=lambda *_: True) as upstream:
        assert isinstance(way_of_calls(upstream).send(READ), Unknown)
        assert len(upstream.seen) == 1
