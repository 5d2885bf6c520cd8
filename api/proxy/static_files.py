# SPDX-License-Identifier: Apache-2.0
"""Cache of the static files of MLflow's UI that have a hash of their content in their names: those never change."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from api.http.request import Request
from api.proxy.answers import FetchedAnswer, cached_response, content_length, header_of
from bridge.events import Observer, ReadCached
from bridge.upstream.forwarding import ForwardedResponse

#: As webpack names files: `main.c2f5f8d4.js`.
_HASHED = re.compile(r"/static-files/[^?]*\.[0-9a-f]{8,64}\.[^/?]*")
#: Of all files together: MLflow 3.17 has 26 MiB, in 400 files.
_MAX_BYTES = 32 << 20
_MAX_FILE_BYTES = 8 << 20
#: Where the content depends on another request header, it is not cached. The bridge never forwards `Origin`.
_HARMLESS_VARY = frozenset({"", "origin", "accept-encoding"})
#: The headers of a 304 (RFC 9110, section 15.4.5).
_NOT_MODIFIED_HEADERS = frozenset({"cache-control", "content-location", "etag", "expires", "last-modified", "vary"})

#: The target of the request, and its Accept-Encoding.
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _File:
    """A whole file as upstream sent it."""

    response: ForwardedResponse
    body: bytes
    received: float
    #: Upstream's version, None if it was not known.
    version: str | None


class StaticFiles:
    """Caches files as upstream sends them, with their encoding, until newer ones need the space."""

    def __init__(self, version: Callable[[], str | None], observe: Observer) -> None:
        """``version`` returns the version of upstream: the files of another one are no longer used."""
        self._version = version
        self._observe = observe
        #: The file used last is at the end.
        self._files: dict[_Key, _File] = {}
        self._size = 0

    def key_of(self, request: Request) -> _Key | None:
        """Return the key of the file that a request asks for; None for any other request."""
        if request.method != "GET" or request.has_body or not _HASHED.fullmatch(request.target):
            return None
        if request.header(b"range") is not None:
            return None
        return request.target, (request.header(b"accept-encoding") or "").lower()

    def find(self, key: _Key, request: Request) -> FetchedAnswer | None:
        """Return the file, or a 304 if the client already has it; None if the file is not cached."""
        file, version = self._files.get(key), self._version()
        # A version that is not known, as just after the start, says nothing against the file.
        if file is None or len({version, file.version} - {None}) > 1:
            return None
        self._files.pop(key)
        self._files[key] = file = replace(file, version=file.version or version)
        self._observe(ReadCached(cache="static"))
        response = cached_response(file.response, age_s=asyncio.get_running_loop().time() - file.received)
        if _has_current_copy(request, file.response):
            kept = tuple(pair for pair in response.headers if pair[0].lower() in _NOT_MODIFIED_HEADERS)
            return FetchedAnswer(replace(response, status=304, headers=kept), b"", is_whole=True)
        return FetchedAnswer(response, file.body, is_whole=True)

    def keep(self, key: _Key, response: ForwardedResponse) -> ForwardedResponse:
        """Return the response to forward. If the file may be cached, it is cached once its whole body has passed."""
        length = content_length(response)
        if length is None or length > _MAX_FILE_BYTES or not _may_be_kept(response):
            return response
        return replace(response, body=self._cached_body(key, response, length))

    async def _cached_body(self, key: _Key, response: ForwardedResponse, length: int) -> AsyncIterator[bytes]:
        body = bytearray()
        async for piece in response.body:
            body += piece
            # Before the piece is yielded: the client may read nothing after the last one.
            if len(body) == length:
                self._add(key, _File(response, bytes(body), asyncio.get_running_loop().time(), self._version()))
            yield piece

    def _add(self, key: _Key, file: _File) -> None:
        self._remove(key)
        self._files[key] = file
        self._size += len(file.body)
        while self._size > _MAX_BYTES:
            self._remove(next(iter(self._files)))

    def _remove(self, key: _Key) -> None:
        if file := self._files.pop(key, None):
            self._size -= len(file.body)


def _may_be_kept(response: ForwardedResponse) -> bool:
    policy, vary = header_of(response, "cache-control").lower(), header_of(response, "vary").lower()
    is_public = not any(word in policy for word in ("no-store", "no-cache", "private"))
    return response.status == 200 and is_public and {name.strip() for name in vary.split(",")} <= _HARMLESS_VARY


def _has_current_copy(request: Request, response: ForwardedResponse) -> bool:
    """Return whether the client's copy is this file (RFC 9110, section 13.1)."""
    if (if_none_match := request.header(b"if-none-match")) is not None:
        tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return bool(tags & {"*", header_of(response, "etag").removeprefix("W/")} - {""})
    return (since := request.header(b"if-modified-since")) is not None and since == header_of(response, "last-modified")
