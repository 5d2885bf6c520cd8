# SPDX-License-Identifier: Apache-2.0
"""A request and its response on an HTTP/1.1 connection, in the terms of ASGI."""

import asyncio
import logging
import time
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus

from api.http.request import ALLOWED_METHODS, MAX_LOGGED_PATH
from api.http.types import Application, Message, Scope
from api.server.flow import Flow

_LOG = logging.getLogger(__name__)

#: A client that has sent this much more than was read waits until more is read.
_MAX_UNREAD_BYTES = 64 * 1024
#: Responses that have no body (RFC 9110, section 6.4.1).
_STATUSES_WITHOUT_BODY = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAILURE = b"The bridge failed. Its log says why.\n"


class Exchange:
    """A request and its response. ``receive`` and ``send`` are those of ASGI.

    https://asgi.readthedocs.io/en/latest/specs/www.html
    """

    __slots__ = (
        "_body",
        "_expects_continue",
        "_flow",
        "_has_body",
        "_is_chunked",
        "_is_cut_off",
        "_is_read",
        "_is_started",
        "_missing_bytes",
        "_unsent",
        "_waiter",
        "is_body_complete",
        "is_complete",
        "keeps_alive",
        "scope",
    )

    def __init__(self, scope: Scope, flow: Flow, *, keeps_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self._flow = flow
        #: Whether the connection can take another request afterwards.
        self.keeps_alive = keeps_alive
        self._expects_continue = expects_continue
        #: What has arrived of the body and is not read yet; whether that is its end; whether its end is read.
        self._body: bytes | bytearray = b""
        self.is_body_complete = False
        self._is_read = False
        #: Whether no more of the request will come.
        self._is_cut_off = False
        self._waiter: asyncio.Future[None] | None = None
        self._is_started = False
        self._has_body = self._is_chunked = False
        #: How many bytes of the announced length are still to be sent. None without an announced length.
        self._missing_bytes: int | None = None
        self._unsent = b""
        #: Whether the response has been sent.
        self.is_complete = False

    async def run(self, application: Application) -> None:
        """Let the application respond. A response that it does not end stays incomplete."""
        try:
            await application(self.scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, the client must get an end
            _LOG.exception("request_failed", extra={"fields": {"path": self.scope["path"][:MAX_LOGGED_PATH]}})
        if not self.is_complete:
            self.keeps_alive = False
            if not self._is_started:
                headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_FAILURE))]
                await self.send({"type": "http.response.start", "status": 500, "headers": headers})
                await self.send({"type": "http.response.body", "body": _FAILURE})

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > _MAX_UNREAD_BYTES:
            self._flow.pause_reading()
        self._wake()

    def complete_body(self) -> None:
        """Note that the body is complete."""
        self.is_body_complete = True
        self._wake()

    def cut_off(self) -> None:
        """Note that no more of the request will come, because the client is gone or broke the protocol."""
        self._is_cut_off = True
        self.keeps_alive = False
        self._wake()

    async def receive(self) -> Message:
        """Return what has arrived of the body, or wait for more; after its end, wait for the disconnect."""
        if self._expects_continue:
            self._expects_continue = False
            if not (self._is_started or self._has_unread()):
                self._flow.write(_CONTINUE)
        while not (self._has_unread() or self._is_cut_off or self.is_complete):
            if not self._is_read:
                self._flow.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._has_unread():
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        self._is_read = self.is_body_complete
        return {"type": "http.request", "body": bytes(body), "more_body": not self._is_read}

    @property
    def is_delimited(self) -> bool:
        """Whether the end of the response differs from the end of the connection."""
        return self._is_chunked or not self._has_body or self._missing_bytes is not None

    def _has_unread(self) -> bool:
        return bool(self._body) or (self.is_body_complete and not self._is_read)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def send(self, message: Message) -> None:
        """Send the start of the response, or more of its body. Nothing happens if the client is gone."""
        if self.is_complete:
            raise RuntimeError("the response is complete already")
        await self._flow.wait_until_writable()
        if message["type"] == "http.response.start":
            self._unsent = self._head(message["status"], message["headers"])
            # A body that follows in this turn of the event loop is sent together with the head.
            asyncio.get_running_loop().call_soon(self._flush)
            return
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        if self._has_body:
            self._unsent += self._framed(body, is_last=is_last)
        self._flush()
        if is_last:
            self.is_complete = True
            self._wake()

    def _flush(self) -> None:
        if self._unsent:
            self._is_started = True
            self._flow.write(self._unsent)
            self._unsent = b""

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        if status == 204:
            # It must have no length (RFC 9110, section 8.6).
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        fields = dict(headers)
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
            raise ValueError("a header of the response contains a line break")
        length = fields.get(b"content-length")
        self._has_body = self.scope["method"] != "HEAD" and status not in _STATUSES_WITHOUT_BODY
        self._missing_bytes = None if length is None else int(length)
        self._is_chunked = self._has_body and length is None and self.scope["http_version"] == "1.1"
        if fields.get(b"connection") == b"close" or not (length or self._is_chunked or not self._has_body):
            # An HTTP/1.0 client without a length reads until the connection ends.
            self.keeps_alive = False
        date = b"" if b"date" in fields else _date_line(int(time.time()))
        return b"%b%b%b%b\r\n" % (_status_line(status), lines, date, self._connection_lines())

    def _connection_lines(self) -> bytes:
        lines = b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
        if not self.keeps_alive:
            return lines + b"connection: close\r\n"
        return lines + b"connection: keep-alive\r\n" if self.scope["http_version"] == "1.0" else lines

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self._is_chunked:
            chunk = b"%X\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + b"0\r\n\r\n" if is_last else chunk
        if self._missing_bytes is None:
            return body
        self._missing_bytes -= len(body)
        if self._missing_bytes < 0 or (is_last and self._missing_bytes > 0):
            raise ValueError("the body of the response has another length than its Content-Length")
        return body


def rejection(status: int, text: bytes) -> bytes:
    """Return a whole response that ends the connection."""
    allowed = b"allow: %b\r\n" % ", ".join(ALLOWED_METHODS).encode() if status == 405 else b""
    head = b"%b%bcontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (_status_line(status), allowed, len(text) + 1) + text + b"\n"


@cache
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=1)
def _date_line(seconds: int) -> bytes:
    return f"date: {formatdate(seconds, usegmt=True)}\r\n".encode()
