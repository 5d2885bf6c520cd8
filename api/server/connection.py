# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 connection (RFC 9112). llhttp parses the requests; the application gets one at a time."""

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

import httptools

from api.http.types import Application, Scope
from api.server.exchange import Exchange, rejection
from api.server.flow import Flow

#: The most bytes of a head after its first read, of a trailer, or between the chunks of a body.
_MAX_OVERHEAD_BYTES = 128 * 1024
_MAX_TARGET_BYTES = 64 * 1024
#: The most headers of a request, and of a trailer.
_MAX_HEADERS = 100
#: The most requests that a client sends without waiting for a response. The connection ends after them.
_MAX_WAITING = 100
_VERSIONS = frozenset({"1.0", "1.1"})
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_ASGI = {"version": "3.0", "spec_version": "2.3"}
#: The responses to what is no request.
_REJECTIONS = {
    400: b"The request is not valid HTTP/1.1. Send one that follows RFC 9112.",
    405: b"The bridge does not know this method. Send one of those in the header Allow.",
    414: b"The target of the request is too long. Send at most 64 KiB.",
    429: b"Too many requests were sent without waiting for a response. Send at most 100.",
    431: b"The head of the request is too long. Send at most 100 headers and 128 KiB.",
    505: b"The bridge does not support this version of HTTP. Send HTTP/1.1.",
}


class Connection(asyncio.Protocol):
    """A connection to a client."""

    def __init__(
        self,
        application: Application,
        loop: asyncio.AbstractEventLoop,
        *,
        on_open: Callable[["Connection"], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        """``on_open`` is called once, and ``on_close`` when the connection is lost and no request of it runs."""
        self._application = application
        self._loop = loop
        self._on_open = on_open
        self._on_close = on_close
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        #: The request that the application responds to, and those that were sent without waiting for its response.
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        #: The request that is being received, once its head is complete.
        self._receiving: Exchange | None = None
        #: The task of the current request: the event loop itself keeps no reference to it.
        self._task: asyncio.Task[None] | None = None
        #: Since when the client owes a complete head, on the clock of the event loop. None during a request.
        self._idle_since: float | None = None
        self._is_lost = False
        self._is_in_head = False
        #: Whether the parser is one that resumes a request in the middle.
        self._is_resumed = False
        #: Whether a read has brought the request further, and the bytes of the reads since then.
        self._has_progressed = False
        self._overhead_bytes = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        #: The headers that announce the body of the request that is being received.
        self._framing: list[tuple[bytes, bytes]] = []
        self._trailers = 0
        self._expects_continue = False

    # The protocol of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._flow = Flow(self._transport, self._loop)
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._client = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._server = (transport.get_extra_info("sockname") or ("", 0))[:2]
        self._idle_since = self._loop.time()
        self._on_open(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Cut off what is not complete: the client is gone. Complete requests are still served."""
        self._is_lost = True
        self._parser = None
        if self._waiting and not self._waiting[-1].is_body_complete:
            self._waiting.pop()
        self._flow.resume_writing()
        for exchange in (self._current, *self._waiting):
            if exchange:
                exchange.cut_off()
        if self._current is None:
            self._on_close(self)

    def eof_received(self) -> None:
        """Take the client for gone. A response without a mark of its end must not look complete."""
        if self._current and not self._current.is_delimited:
            self._reset()

    def pause_writing(self) -> None:
        """Let responses wait for the client."""
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        """Let responses go on."""
        self._flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._has_progressed = not self._is_in_head and self._receiving is None
        if self._has_progressed and not data.isascii():
            data = _quoted_target(data)
        self._parse(data)
        if self._has_progressed:
            self._overhead_bytes = 0
            return
        self._overhead_bytes += len(data)
        if self._overhead_bytes > _MAX_OVERHEAD_BYTES:
            self._reject(431)

    def _parse(self, data: bytes) -> None:
        while self._parser is not None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._resume_after_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserInvalidMethodError:
                self._reject(405 if _METHOD.match(data) else 400)
            except httptools.HttpParserError as error:
                reason = error.__context__
                self._reject(reason.status if isinstance(reason, _Rejected) else 400)
            return

    def close_if_idle(self, now: float, *, timeout_s: float) -> None:
        """Close the connection if for this time the client has not sent a head, or has taken nothing of a response.

        Call it regularly.
        """
        if self._flow.is_stuck(now, timeout_s=timeout_s):
            self._reset()
        elif self._idle_since is not None and now - self._idle_since > timeout_s:
            self.stop()

    def stop(self) -> None:
        """Close the connection once the requests that were sent have their responses."""
        if self._current is None:
            self._transport.close()
        else:
            self._last_exchange().keeps_alive = False

    # The callbacks of httptools

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._is_resumed:
            return
        if self._current is None:
            self._idle_since = self._loop.time()
        self._is_in_head = True
        self._trailers = 0
        self._expects_continue = False

    def on_url(self, target: bytes) -> None:
        """Take the target, or a part of it."""
        if self._is_in_head:
            self._target += target
            if len(self._target) > _MAX_TARGET_BYTES:
                raise _Rejected(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Those of a trailer are dropped (RFC 9112, section 7.1.2)."""
        if not self._is_in_head:
            self._trailers += 1
        else:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self._expects_continue = True
            self._headers.append((name, value))
        if len(self._headers) > _MAX_HEADERS or self._trailers > _MAX_HEADERS:
            raise _Rejected(431)

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._has_progressed = True
        if self._is_resumed:
            self._is_resumed = False
            return
        self._is_in_head = False
        parser = cast("httptools.HttpRequestParser", self._parser)
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        if version not in _VERSIONS:
            raise _Rejected(505)
        self._framing = [pair for pair in self._headers if pair[0] in _FRAMING]
        if version == "1.0" and any(name == b"transfer-encoding" for name, _ in self._framing):
            raise _Rejected(400)
        if len(self._waiting) >= _MAX_WAITING:
            raise _Rejected(429)
        exchange = Exchange(
            self._scope(version, method),
            self._flow,
            keeps_alive=parser.should_keep_alive() and method != "CONNECT",
            expects_continue=self._expects_continue and version == "1.1",
        )
        # A request that waits may release its head, so none of it stays here.
        self._target, self._headers = b"", []
        self._receiving = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
            self._flow.pause_reading()

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._has_progressed = True
        if self._receiving is not None:
            self._receiving.feed(data)

    def on_message_complete(self) -> None:
        """End the request."""
        parser = cast("httptools.HttpRequestParser", self._parser)
        # The body of a request with `Upgrade` is still to come.
        if self._receiving is not None and not parser.should_upgrade():
            self._receiving.complete_body()
            self._receiving = None

    def _resume_after_upgrade(self) -> bytes:
        """Ignore `Upgrade`, as a server may (RFC 9110, section 7.8), and return what goes before the rest.

        llhttp stops after such a head. Another parser gets one that announces the same body, and reads on.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._is_resumed = True
        return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % pair for pair in self._framing])

    def _scope(self, version: str, method: str) -> Scope:
        target = self._target
        if not target.startswith(b"/") and b"://" in target:
            target = self._read_absolute_form(target)
        path, _, query = target.partition(b"#")[0].partition(b"?")
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": method,
            "scheme": self._scheme,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._client,
            "server": self._server,
        }

    def _read_absolute_form(self, target: bytes) -> bytes:
        """Return path and query of a target as clients send it to a proxy (RFC 9112, section 3.2.2)."""
        url = httptools.parse_url(target)
        if not any(name == b"host" for name, _ in self._headers):
            self._headers.append((b"host", url.host + (b":%d" % url.port if url.port else b"")))
        return (url.path or b"/") + (b"?" + url.query if url.query else b"")

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._idle_since = None
        self._task = self._loop.create_task(self._respond(exchange))

    async def _respond(self, exchange: Exchange) -> None:
        await exchange.run(self._application)
        self._current = self._task = None
        if self._is_lost:
            self._go_on_without_client()
        # The rest of a body that is still being sent would look like the next request.
        elif not (exchange.is_complete and exchange.keeps_alive and exchange.is_body_complete):
            self._close(exchange)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._idle_since = self._loop.time()
        if not self._waiting:
            self._flow.resume_reading()

    def _go_on_without_client(self) -> None:
        if self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._on_close(self)

    def _close(self, exchange: Exchange) -> None:
        self._parser = None
        self._waiting.clear()
        if exchange.is_complete or exchange.is_delimited:
            self._transport.close()
        else:
            self._reset()

    def _reset(self) -> None:
        """Close the connection at once with a reset (RST), so that no response looks complete that is not."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _reject(self, status: int) -> None:
        """Close the connection after what was begun. What comes after an invalid message can't be understood."""
        self._parser = None
        if self._current is None:
            self._flow.write(rejection(status, _REJECTIONS[status]))
            self._transport.close()
            return
        last = self._last_exchange()
        last.keeps_alive = False
        if not last.is_body_complete:
            last.cut_off()

    def _last_exchange(self) -> Exchange:
        return self._waiting[-1] if self._waiting else cast("Exchange", self._current)


class _Rejected(Exception):
    """The request is answered here with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _quoted_target(data: bytes) -> bytes:
    """Quote UTF-8 beyond ASCII in a request line, as old clients send it. llhttp rejects it."""
    line, end, rest = data.partition(b"\r\n")
    try:
        line.decode()
    except UnicodeDecodeError:
        return data
    return _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + end + rest
