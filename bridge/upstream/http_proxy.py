# SPDX-License-Identifier: Apache-2.0
"""Forwarding proxy: sends requests to upstream and streams the responses back, on one event loop."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import IO, cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from bridge.config.network import DIRECT, CurrentTls, Network
from bridge.errors import CredentialsUnavailable, UpstreamDenied, UpstreamTimeout, UpstreamUnreachable
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.aws.signing import EMPTY_SHA256, Signer, canonical_target
from bridge.upstream.forwarding import BufferedBody, ForwardedRequest, ForwardedResponse, StreamedBody
from bridge.upstream.headers import to_client, to_upstream
from bridge.upstream.loop_detection import InstanceId, format_via, parse_via
from bridge.upstream.proxy_connector import Connector, PooledResponse, ShortRequest
from bridge.upstream.responses import is_call_denied, is_identity_rejected
from bridge.upstream.upload_pacing import PacedBody, paced_socket
from schemas.endpoints import is_read_only

_CHUNK_BYTES = 256 * 1024
#: Headers that aiohttp must not add if the client did not send them.
_SKIPPED_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
#: Statuses of a final response (RFC 9110, section 15). Any other would crash the server process.
_FINAL_STATUSES = range(200, 600)
_METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
#: Threads that fetch credentials at a time, so that they do not occupy the whole thread pool.
_MAX_CREDENTIAL_THREADS = 4
#: Of a response before the end of an upload, which is normally an error message.
_MAX_EARLY_RESPONSE_BYTES = 1 << 20


class HttpForwarding:
    """A forwarding proxy for one event loop, see `bridge.upstream.forwarding.Forwarding`."""

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
        self._credential_threads = asyncio.Semaphore(_MAX_CREDENTIAL_THREADS)
        self._proxy = network.proxy_of(endpoint.url)
        speaks_tls = any(url.startswith("https:") for url in (endpoint.url, self._proxy or ""))
        self._tls = CurrentTls(network, upstream=True) if speaks_tls else None
        if self._tls:
            # Created now, because it takes a tenth of a second and would block the event loop later.
            self._tls.context()
        self._read_timeout_s = read_timeout.total_seconds()
        self._connect_timeout_s = connect_timeout.total_seconds()

    @property
    def can_stream(self) -> bool:
        """Whether a body can be sent while it arrives."""
        return self._signer is None

    @cached_property
    def _connector(self) -> Connector:
        # Created on first use, because it belongs to the event loop of that moment.
        return Connector(
            proxy=self._proxy, connect_timeout_s=self._connect_timeout_s, read_timeout_s=self._read_timeout_s
        )

    @cached_property
    def _upload_session(self) -> aiohttp.ClientSession:
        # Each upload has a new connection: a closed idle one would be noticed too late to repeat the body.
        # Neither cookies nor the environment's proxies.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=paced_socket),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout_s, sock_read=self._read_timeout_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_SKIPPED_AUTO_HEADERS,
        )

    @asynccontextmanager
    async def forward(self, request: ForwardedRequest) -> AsyncIterator[ForwardedResponse]:
        """Forward a client's request and stream the response."""
        url = self._endpoint.url + canonical_target(request.target)
        headers = CIMultiDict(to_upstream(request.headers))
        headers.setdefault("User-Agent", "mlflow-bridge")
        # The client decodes the body, so only the client may accept an encoding.
        headers.setdefault("Accept-Encoding", "identity")
        headers["Host"] = self._endpoint.host
        if name := self._instance_id.known or await asyncio.to_thread(self._instance_id.name):
            instances = parse_via(value for header, value in request.headers if header.lower() == "via")
            headers["Via"] = format_via([*instances, name])
        length = request.body.length if request.body else 0
        if length or request.method in _METHODS_WITH_BODY:
            headers["Content-Length"] = str(length)
        headers.update(await self._signature_headers(request, url, headers))
        try:
            async with await self._send(request, url, headers) as response:
                yield await self._forwarded_response(response, request)
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise UpstreamTimeout("Upstream did not respond in time") from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            if isinstance(request.body, StreamedBody) and request.body.failure:
                raise request.body.failure from None
            raise UpstreamUnreachable(f"Upstream can't be reached: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        # A cached property that was never used has no entry in `__dict__`.
        for connections in ("_connector", "_upload_session"):
            if connections in self.__dict__:
                await self.__dict__[connections].close()

    async def _send(
        self, request: ForwardedRequest, url: str, headers: CIMultiDict[str]
    ) -> PooledResponse | aiohttp.ClientResponse:
        body, tls = request.body, self._tls.context() if self._tls else None
        if isinstance(body, StreamedBody):
            return await self._upload(body, request.method, url, headers, tls)
        if body and body.length > _CHUNK_BYTES:
            return await self._upload(_file_pieces(body), request.method, url, headers, tls)
        short = ShortRequest(
            method=request.method,
            url=url,
            headers=headers.items(),
            body=_content(body) if body else b"",
            is_repeatable=request.method == "PUT" or is_read_only(request.method, request.target.partition("?")[0]),
        )
        return await self._connector.send(short, tls)

    async def _upload(
        self,
        pieces: AsyncIterator[bytes],
        method: str,
        url: str,
        headers: CIMultiDict[str],
        tls: ssl.SSLContext | None,
    ) -> aiohttp.ClientResponse:
        async with asyncio.timeout(None) as deadline:
            # The URL must be the signed one, byte for byte. The client follows redirects itself.
            return await self._upload_session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=PacedBody(pieces, timeout_s=self._read_timeout_s, deadline=deadline),
                allow_redirects=False,
                proxy=self._proxy,
                ssl=tls or True,
            )

    async def _signature_headers(
        self, request: ForwardedRequest, url: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        if self._signer is None:
            return {}
        signer = self._signer.for_client(request.client)
        sha256 = request.body.sha256 if isinstance(request.body, BufferedBody) and request.body.length else EMPTY_SHA256

        def sign() -> dict[str, str]:
            return signer.sign(request.method, url, headers, host=self._endpoint.host, body_sha256=sha256)

        # A fetch of credentials would block the event loop.
        if signer.is_ready():
            return sign()
        async with self._credential_threads:
            return await asyncio.to_thread(sign)

    async def _forwarded_response(
        self, response: PooledResponse | aiohttp.ClientResponse, request: ForwardedRequest
    ) -> ForwardedResponse:
        if response.status not in _FINAL_STATUSES:
            raise UpstreamUnreachable(f"Upstream responded with the invalid status {response.status}")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        body: AsyncIterator[bytes] = response.content.iter_any()
        if response.status in (400, 401, 403) and "x-amzn-ErrorType" in response.headers:
            body = _single_piece(await self._read_aws_error(response, request.client))
        elif isinstance(response, aiohttp.ClientResponse) and _is_sending(request.body):
            body = _single_piece(await self._read_early_response(response))
        returned = tuple(to_client(headers, upstream_url=self._endpoint.url))
        return ForwardedResponse(status=response.status, headers=returned, body=body)

    async def _read_early_response(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a response that arrives before the end of the upload, and stop the upload."""
        body = bytearray()
        async with asyncio.timeout(self._read_timeout_s):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_EARLY_RESPONSE_BYTES:
                    raise UpstreamUnreachable("Upstream sent a long response before the end of the upload")
        response.close()
        await response.wait_for_close()
        return bytes(body)

    async def _read_aws_error(self, response: PooledResponse | aiohttp.ClientResponse, client: str | None) -> bytes:
        """Return the body, or raise if it is about the bridge's own credentials, which clients must not see."""
        # `response.read` would wait for the end of the upload.
        body = await response.content.read()
        if is_identity_rejected(response.status, response.headers, body):
            if self._signer:
                self._signer.for_client(client).invalidate_credentials()
            error = response.headers.get("x-amzn-ErrorType", str(response.status)).split(":")[0]
            raise CredentialsUnavailable(f"AWS refuses the bridge's credentials: {error}")
        if is_call_denied(response.status, response.headers, body):
            raise UpstreamDenied("AWS denies the bridge this action; its operator can allow it")
        return body


def _is_sending(body: BufferedBody | StreamedBody | None) -> bool:
    return isinstance(body, StreamedBody) and not body.is_complete


def _content(body: BufferedBody) -> bytes:
    body.file.seek(0)
    return body.file.read()


async def _file_pieces(body: BufferedBody) -> AsyncIterator[bytes]:
    file = cast("IO[bytes]", body.file)
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield piece


async def _single_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body
