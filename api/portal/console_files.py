# SPDX-License-Identifier: Apache-2.0
"""Serves the console's files from memory: the page itself for every path below ``/app``, and its hashed assets.

The build lies in ``api/console`` and is not part of the repository. Without a build, one page explains how to make it.
The files are public code and need no credentials.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import Response
from api.http.routing import Route
from api.portal.security_headers import CONSOLE_HEADERS
from schemas.endpoints import ExperimentRule

CONSOLE_PATH = "/app"
#: Where the build is, in a checkout, a wheel and an image alike.
CONSOLE_DIRECTORY = Path(__file__).parents[1] / "console"
_ASSETS = f"{CONSOLE_PATH}/assets/"
_HTML = "text/html; charset=utf-8"
_TYPES = {
    ".html": _HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_ANSWERS: dict[int, type | None] = {200: None, 304: None, 404: None}
#: A coding with this weight is not acceptable (RFC 9110, section 12.4.2).
_ZERO_WEIGHTS = ("q=0", "q=0.0", "q=0.00", "q=0.000")
#: Compressed already.
_NOT_GZIPPED = frozenset({".png", ".woff2", ".ico"})
_MISSING_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>MLflow Bridge</title>
<h1>The console is not installed</h1>
<p>The bridge works, and MLflow's pages are at <a href="/">/</a>. This checkout has no build of the console.</p>
<p>Run <code>make console</code> in the checkout, with access to a package registry, and restart the bridge.
The wheel and the image contain the console.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    #: None where compression gains nothing.
    gzipped: bytes | None
    content_type: str
    etag: str


class ConsoleFiles:
    """The build of the console, read and compressed once."""

    def __init__(self, directory: Path) -> None:
        self._files = {
            f"{CONSOLE_PATH}/{path.relative_to(directory).as_posix()}": _read_file(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path.suffix in _TYPES
        }
        self._page = self._files.get(f"{CONSOLE_PATH}/index.html")

    @property
    def is_built(self) -> bool:
        """Whether there is a build."""
        return self._page is not None

    @Route(
        "GET",
        CONSOLE_PATH,
        summary="The console",
        is_open=True,
        is_static=True,
        experiments=ExperimentRule.HARMLESS,
        answers=_ANSWERS,
    )
    async def first_page(self, request: Request, record: RequestRecord) -> Response:
        """Return the console."""
        return await self.page(request, record)

    @Route(
        "GET",
        f"{CONSOLE_PATH}/",
        summary="The console",
        is_open=True,
        is_static=True,
        experiments=ExperimentRule.HARMLESS,
        answers=_ANSWERS,
    )
    async def home_page(self, request: Request, record: RequestRecord) -> Response:
        """Return the console."""
        return await self.page(request, record)

    @Route(
        "GET",
        f"{CONSOLE_PATH}/<path:page>",
        summary="A page or a file of the console",
        is_open=True,
        is_static=True,
        experiments=ExperimentRule.HARMLESS,
        answers=_ANSWERS,
    )
    async def page(self, request: Request, _: RequestRecord) -> Response:
        """Return the file of a path below ``/app``; of one that is no file, the console."""
        if self._page is None:
            return Response(404, _MISSING_PAGE, _HTML, (("Cache-Control", "no-store"), *CONSOLE_HEADERS))
        if request.path.startswith(_ASSETS):
            asset = self._files.get(request.path)
            if asset is None:
                # The page of an earlier build asks for assets that are gone: HTML would be a script to it.
                return Response(404, b"", "text/plain", (("Cache-Control", "no-store"), *CONSOLE_HEADERS))
            return _file_response(request, asset, "public, max-age=31536000, immutable")
        return _file_response(request, self._files.get(request.path, self._page), "no-cache")


def _file_response(request: Request, file: _File, cache_control: str) -> Response:
    is_gzipped = file.gzipped is not None and _accepts_gzip(request.header(b"accept-encoding"))
    etag = f'"{file.etag}-gzip"' if is_gzipped else f'"{file.etag}"'
    headers = (("Cache-Control", cache_control), ("ETag", etag), ("Vary", "Accept-Encoding"), *CONSOLE_HEADERS)
    if etag in [each.strip().removeprefix("W/") for each in (request.header(b"if-none-match") or "").split(",")]:
        return Response(304, b"", file.content_type, headers)
    if is_gzipped and file.gzipped is not None:
        return Response(200, file.gzipped, file.content_type, (("Content-Encoding", "gzip"), *headers))
    return Response(200, file.body, file.content_type, headers)


def _read_file(path: Path) -> _File:
    body = path.read_bytes()
    # Without a time stamp, so that all processes make the same bytes.
    gzipped = None if path.suffix in _NOT_GZIPPED else gzip.compress(body, 9, mtime=0)
    is_smaller = gzipped is not None and len(gzipped) < len(body)
    digest = hashlib.sha256(body).hexdigest()[:32]
    return _File(body, gzipped if is_smaller else None, _TYPES[path.suffix], digest)


def _accepts_gzip(accept_encoding: str | None) -> bool:
    weights: dict[str, str] = {}
    for part in (accept_encoding or "").split(","):
        coding, _, weight = part.partition(";")
        weights[coding.strip()] = weight.replace(" ", "")
    return "gzip" in weights and weights["gzip"] not in _ZERO_WEIGHTS
