# SPDX-License-Identifier: Apache-2.0
"""Proxied requests with a short body: what upstream receives, and which of its responses come through."""

import asyncio
import datetime as dt
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from bridge.config.network import DIRECT, Network, network_in
from bridge.errors import UpstreamTimeout, UpstreamUnreachable
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.forwarding import ForwardedRequest
from bridge.upstream.http_proxy import HttpForwarding
from tests.enterprise import EgressProxy
from tests.recording_upstream import OK, RecordingUpstream

SECONDS = dt.timedelta(seconds=2)
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _Hop:
    known = "mlflow-bridge-0123456789abcdef"

    def name(self) -> str:
        return self.known


def forwarding(url: str, *, network: Network = DIRECT, read_timeout: dt.timedelta = SECONDS) -> HttpForwarding:
    return HttpForwarding(
        Endpoint(url=url),
        None,
        instance_id=_Hop(),
        connect_timeout=SECONDS,
        read_timeout=read_timeout,
        network=network,
    )


def read(
    target: str = "/version", *, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()
) -> ForwardedRequest:
    return ForwardedRequest(method=method, target=target, headers=headers, body=None)


@dataclass
class ScriptedUpstream:
    """Sends prepared bytes for each request, and closes the connection after those that end with None."""

    responses: list[tuple[bytes | None, ...]]
    heads: list[bytes] = field(default_factory=list)
    #: A request has arrived.
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.responses:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.arrived.set()
                for piece in self.responses.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def with_upstream(
    upstream: ScriptedUpstream,
    work: Callable[[HttpForwarding], Awaitable[None]],
    *,
    read_timeout: dt.timedelta = SECONDS,
) -> None:
    async def main() -> None:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        way = forwarding(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", read_timeout=read_timeout)
        await work(way)
        await way.close()
        server.close()

    asyncio.run(main())


async def text(way: HttpForwarding, request: ForwardedRequest) -> tuple[int, bytes]:
    async with way.forward(request) as response:
        return response.status, b"".join([piece async for piece in response.body])


@pytest.mark.parametrize(
    ("response", "body"),
    [
        ((PLAIN,), b"{}"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\n{", b"}"), b"{}"),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", PLAIN), b"{}"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,), b"{}"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",), b"{}"),
        ((b"HTTP/1.1 200 OK\r\n\r\n{", b"}", None), b"{}"),
        ((b"HTTP/1.0 200 OK\r\n\r\n{}", None), b"{}"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), b""),
    ],
)
def test_each_form_of_a_response_comes_through(response: tuple[bytes | None, ...], body: bytes) -> None:
    async def work(way: HttpForwarding) -> None:
        status = 204 if b"204" in (response[0] or b"") else 200
        assert await text(way, read()) == (status, body)
        assert await text(way, read()) == (200, b"{}")

    upstream = ScriptedUpstream([response, (PLAIN,)])
    with_upstream(upstream, work)

    assert len(upstream.heads) == 2
    assert upstream.connections == (2 if response[-1] is None else 1)


def test_the_head_of_a_response_to_head_announces_a_body_that_does_not_come() -> None:
    async def work(way: HttpForwarding) -> None:
        async with way.forward(read(method="HEAD")) as response:
            assert ("Content-Length", "2") in response.headers
            assert [piece async for piece in response.body] == []
        assert await text(way, read()) == (200, b"{}")

    upstream = ScriptedUpstream([(PLAIN.removesuffix(b"{}"),), (PLAIN,)])
    with_upstream(upstream, work)

    assert upstream.connections == 1


def test_a_connection_that_still_holds_a_response_serves_no_other_request() -> None:
    async def work(way: HttpForwarding) -> None:
        async with way.forward(read()) as response:
            assert await anext(response.body) == b"of another"
        assert await text(way, read()) == (200, b"{}")

        # And one that is given up before its response begins.
        waiting = asyncio.ensure_future(text(way, read()))
        upstream.arrived.clear()
        await upstream.arrived.wait()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert await text(way, read()) == (200, b"{}")

    half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nof another"
    upstream = ScriptedUpstream([(half,), (PLAIN,), (), (PLAIN,)])
    with_upstream(upstream, work)

    assert upstream.connections == 3


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", None), UpstreamUnreachable),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", None), UpstreamUnreachable),
        ((b"HTTP/1.1 2", None), UpstreamUnreachable),
        ((b"no HTTP\r\n\r\n", None), UpstreamUnreachable),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", None), UpstreamUnreachable),
        ((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",), UpstreamUnreachable),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",), UpstreamTimeout),
        ((), UpstreamTimeout),
    ],
)
def test_a_response_that_does_not_come_whole_is_an_error(
    response: tuple[bytes | None, ...], error: type[Exception]
) -> None:
    async def work(way: HttpForwarding) -> None:
        with pytest.raises(error):
            await text(way, read(method="POST"))

    # None further, because the connection of a request without a response stays open.
    upstream = ScriptedUpstream([response, ()])
    with_upstream(upstream, work, read_timeout=dt.timedelta(milliseconds=200))

    assert len(upstream.heads) == 1


def test_the_request_is_sent_as_it_was_written() -> None:
    headers = (("X-Twice", "1"), ("X-Twice", "2"), ("X-Name", "Zoë"), ("Accept-Encoding", "gzip"), ("Expect", "x"))

    async def work(way: HttpForwarding) -> None:
        await text(way, read("/a%2Fb/%C3%A9?q=a%20b", headers=headers))

    upstream = ScriptedUpstream([(PLAIN,)])
    with_upstream(upstream, work)

    first, *lines = upstream.heads[0].decode().split("\r\n")[:-2]
    assert first == "GET /a%2Fb/%C3%A9?q=a%20b HTTP/1.1"
    assert sorted(line for line in lines if not line.startswith(("Host: 127.0.0.1:", "Via: "))) == [
        "Accept-Encoding: gzip",
        "User-Agent: mlflow-bridge",
        "X-Name: Zoë",
        "X-Twice: 1",
        "X-Twice: 2",
    ]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\ny", "a\ry", "a\0y"])
def test_no_header_becomes_a_second_one(value: str) -> None:
    async def work(way: HttpForwarding) -> None:
        with pytest.raises(ValueError, match="line break"):
            await text(way, read(headers=(("X-Name", value),)))

    upstream = ScriptedUpstream([(PLAIN,)])
    with_upstream(upstream, work)

    assert upstream.heads == []


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
def test_credentials_in_the_urls_of_upstream_and_proxy_are_used(*, proxied: bool) -> None:
    async def ask(place: str, network: Network) -> tuple[int, bytes]:
        way = forwarding(f"http://anna:s3cret@{place}/prefix", network=network)
        try:
            return await text(way, read("/a%2Fb?q=1"))
        finally:
            await way.close()

    with RecordingUpstream() as upstream, EgressProxy(login="bridge:word") as proxy:
        upstream.expect(OK)
        # Loopback needs no proxy, so there upstream has a name that only the proxy knows.
        place = "upstream.test:8080" if proxied else upstream.url.removeprefix("http://")
        proxy.places[place] = lambda: upstream.url
        status, _ = asyncio.run(ask(place, network_in({"BRIDGE_PROXY": proxy.url} if proxied else {})))

        [request] = upstream.requests
        assert status == 200
        assert request.split(b" ")[1] == b"/prefix/a%2Fb?q=1"
        assert b"Authorization: Basic " + b64encode(b"anna:s3cret") in request
        assert proxy.asked == ([f"GET http://{place}/prefix/a%2Fb?q=1 HTTP/1.1"] if proxied else [])
