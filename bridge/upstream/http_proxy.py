# SPDX-License-Identifier: Apache-2.0
"""Forwards requests to upstream and streams the answers back, many at a time in one thread."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import IO, cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from bridge.config.network import DIRECT, CurrentTls, Network
from bridge.errors import CredentialsUnavailable, UpstreamDenied, UpstreamTimeout, UpstreamUnreachable
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.aws.signing import EMPTY_SHA256, Signer, canonical_target
from bridge.upstream.forwarding import BufferedBody, ForwardedRequest, ForwardedResponse, StreamedBody
from bridge.upstream.headers import to_client, to_upstream
from bridge.upstream.loop_detection import InstanceId, format_via, parse_via
from bridge.upstream.proxy_connector import Connector
from bridge.upstream.responses import denied, ours
from bridge.upstream.upload_pacing import Pace, paced_socket
from schemas.endpoints import only_reads

_CHUNK = 256 * 1024
#: What the client did not say, nobody says for it.
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
#: Of a final answer (RFC 9110, section 15). Another one would end our server process.
_STATUSES = range(200, 600)
_WITH_BODY = ("POST", "PUT", "PATCH")
#: Threads that may fetch credentials at a time: those of one client must not keep all that there are.
_MOST_FETCHING = 4
#: How long an answer may be that comes before upstream has all of an upload: it says what is wrong.
_LONGEST_EARLY = 1 << 20


class HttpForwarding:
    """See `bridge.upstream.forwarding.Forwarding` for every promise. To be used on one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        signer: Signer | None,
        *,
        instance_id: InstanceId,
        connect_timeout: timedelta,
        read_timeout: timedelta,
        network: Network = DIRECT,
    ) -> None:
        self._endpoint = endpoint
        self._signer = signer
        self._instance_id = instance_id
        self._fetching = asyncio.Semaphore(_MOST_FETCHING)
        self._proxy = network.proxy_of(endpoint.url)
        speaks_tls = any(url.startswith("https:") for url in (endpoint.url, self._proxy or ""))
        self._tls = CurrentTls(network, upstream=True) if speaks_tls else None
        if self._tls:
            # Made now, for it takes a tenth of a second, in which the event loop would stand still.
            self._tls.context()
        self._silence = read_timeout.total_seconds()
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect_timeout.total_seconds(), sock_read=self._silence
        )

    @property
    def streams(self) -> bool:
        """Whether a body can be sent while it comes in."""
        return self._signer is None

    @cached_property
    def _connector(self) -> Connector:
        # Made on first use, for it belongs to the event loop that uses it.
        return Connector()

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        return self._opened(self._connector)

    @cached_property
    def _uploads(self) -> aiohttp.ClientSession:
        # Each has a new connection: that upstream has closed an idle one would be noticed too late to repeat it.
        return self._opened(aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=paced_socket))

    def _opened(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        # No cookies, no proxies of the environment.
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
        )

    @asynccontextmanager
    async def forward(self, request: ForwardedRequest) -> AsyncIterator[ForwardedResponse]:
        """Forward a client's request and stream the answer."""
        url = self._endpoint.url + canonical_target(request.target)
        headers = CIMultiDict(to_upstream(request.headers))
        headers.setdefault("User-Agent", "mlflow-bridge")
        # What the client can decode is the client's to say.
        headers.setdefault("Accept-Encoding", "identity")
        headers["Host"] = self._endpoint.host
        if name := self._instance_id.known or await asyncio.to_thread(self._instance_id.name):
            before = parse_via(value for header, value in request.headers if header.lower() == "via")
            headers["Via"] = format_via([*before, name])
        length = request.body.length if request.body else 0
        if length or request.method in _WITH_BODY:
            headers["Content-Length"] = str(length)
        headers.update(await self._signature(request, url, headers))
        try:
            async with await self._ask(request, url, headers) as response:
                yield await self._answer(response, request)
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise UpstreamTimeout("Upstream did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(request.body, StreamedBody) and request.body.failure:
                raise request.body.failure from None
            raise UpstreamUnreachable(f"Upstream can't be reached: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        for session in ("_session", "_uploads"):
            if session in self.__dict__:
                await self.__dict__[session].close()

    async def _ask(self, request: ForwardedRequest, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        is_upload = isinstance(request.body, StreamedBody)
        session = self._uploads if is_upload else self._session
        async with asyncio.timeout(None) as deadline:
            body = _body_of(request.body, seconds=self._silence, deadline=deadline)
            repeats = _is_repeatable(request) and not isinstance(body, AsyncIterator)
            once = self._connector.at_most_twice if repeats else self._connector.once
            # The URL is the one that was signed, to the letter; a redirect is the client's to follow.
            return await session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxy,
                ssl=self._tls.context() if self._tls else True,
                middlewares=() if is_upload else (once,),
            )

    async def _signature(self, request: ForwardedRequest, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        if self._signer is None:
            return {}
        signer = self._signer.of(request.client)
        sha256 = request.body.sha256 if isinstance(request.body, BufferedBody) and request.body.length else EMPTY_SHA256

        def sign() -> dict[str, str]:
            return signer.sign(request.method, url, headers, host=self._endpoint.host, body_sha256=sha256)

        # Credentials that have to be fetched first would hold up everybody on the loop.
        if signer.is_ready():
            return sign()
        async with self._fetching:
            return await asyncio.to_thread(sign)

    async def _answer(self, response: aiohttp.ClientResponse, request: ForwardedRequest) -> ForwardedResponse:
        if response.status not in _STATUSES:
            raise UpstreamUnreachable(f"Upstream answers with status {response.status}, which is none")
        raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        body: AsyncIterator[bytes] = response.content.iter_any()
        if response.status in (400, 401, 403) and "x-amzn-ErrorType" in response.headers:
            body = _once(await self._read_unless_ours(response, request.client))
        elif isinstance(request.body, StreamedBody) and not request.body.is_complete:
            body = _once(await self._read_early(response))
        returned = tuple(to_client(raw, upstream_url=self._endpoint.url))
        return ForwardedResponse(status=response.status, headers=returned, body=body)

    async def _read_early(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of an answer that upstream gives before it has all of the request, and send no more of it."""
        body = bytearray()
        async with asyncio.timeout(self._silence):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _LONGEST_EARLY:
                    raise UpstreamUnreachable("Upstream answers at length before it has the whole request")
        response.close()
        await response.wait_for_close()
        return bytes(body)

    async def _read_unless_ours(self, response: aiohttp.ClientResponse, client: str | None) -> bytes:
        """Return the body as upstream sent it, or raise: what AWS says of our credentials is not for clients."""
        # Not `response.read`, which waits until all of an upload has been sent.
        body = await response.content.read()
        if ours(response.status, response.headers, body):
            if self._signer:
                self._signer.of(client).refused()
            error = response.headers.get("x-amzn-ErrorType", str(response.status)).split(":")[0]
            raise CredentialsUnavailable(f"AWS refuses the bridge's credentials: {error}")
        if denied(response.status, response.headers, body):
            raise UpstreamDenied("AWS denies the bridge this action; its operator can allow it")
        return body


def _is_repeatable(request: ForwardedRequest) -> bool:
    path = request.target.partition("?")[0]
    return request.method == "PUT" or only_reads(request.method, path)


def _body_of(
    body: BufferedBody | StreamedBody | None, *, seconds: float, deadline: asyncio.Timeout
) -> bytes | AsyncIterator[bytes] | None:
    """Return what is to be sent; ``deadline`` expires when upstream takes nothing of it for so many seconds."""
    if not body or not body.length:
        return None
    if isinstance(body, StreamedBody):
        return Pace(body, seconds=seconds, deadline=deadline)
    file = cast("IO[bytes]", body.file)
    file.seek(0)
    return file.read() if body.length <= _CHUNK else Pace(_pieces(file), seconds=seconds, deadline=deadline)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _CHUNK):
        yield piece


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
