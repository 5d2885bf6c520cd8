# SPDX-License-Identifier: Apache-2.0
"""An HTTP request. Its body arrives on the event loop, so no thread waits for a slow client."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlsplit

from werkzeug.exceptions import MethodNotAllowed

from api.http.exceptions import MalformedFraming, Unauthenticated
from api.http.routing import Route, RouteTable
from api.http.types import Message, Receive, Scope
from bridge.auth.sessions import BrowserSession
from bridge.auth.sigv4 import SignedHeaders
from bridge.errors import RequestIncomplete, RequestStalled
from bridge.upstream.loop_detection import parse_via
from bridge.upstream.tracing import RequestSpan, Tracer
from schemas.client import UNAUTHENTICATED, Client
from schemas.endpoints import EndpointMatch, find_endpoint
from schemas.errors import InvalidWrite
from schemas.mlflow_limits import check_header
from schemas.trace_context import TraceContext, TraceParent, read_trace, trace_context_of
from schemas.write import Op

#: In place of a start time: the timeout of this task has expired.
_EXPIRED = float("-inf")


class ReadTimeout:
    """Limits how long a client may send nothing, with one shared timer: a timer for each request would cost more."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        #: When each waiting task began to wait, on the clock of the event loop.
        self._began_at: dict[asyncio.Task[object], float] = {}
        self._is_scheduled = False

    async def next_message(self, receive: Receive) -> Message:
        """Return the next message, or raise ``RequestStalled`` after the timeout or up to a sixth of it later."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            return await receive()
        self._began_at[task] = loop.time()
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_later(self._seconds / 6, self._expire, loop)
        try:
            return await receive()
        except asyncio.CancelledError:
            if self._began_at[task] != _EXPIRED:
                raise
            task.uncancel()
            raise RequestStalled(f"The client sent no more of the body for {self._seconds:.0f} s") from None
        finally:
            del self._began_at[task]

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        latest_begin = loop.time() - self._seconds
        for task, began_at in self._began_at.items():
            if _EXPIRED < began_at < latest_begin:
                self._began_at[task] = _EXPIRED
                task.cancel()
        self._is_scheduled = bool(self._began_at)
        if self._is_scheduled:
            loop.call_later(self._seconds / 6, self._expire, loop)


@dataclass(frozen=True, slots=True)
class Identity:
    """The result of authentication."""

    client: Client
    #: The signature of a signed request, once it is verified.
    signature: SignedHeaders | None = None
    #: The session of a browser that has sent its cookie.
    session: BrowserSession | None = None


#: What RFC 3986 allows in a path in addition to letters and digits.
_PATH_SAFE = "/-._~!$&'()*+,;=:@"
#: Some proxies add the port to an IPv4 address.
_PORT = re.compile(r"^(\d+(?:\.\d+){3}):\d+$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Logs show no more characters of a path than these.
MAX_LOGGED_PATH = 1000
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SLASHES = re.compile("/{2,}")
_SLASHES_RAW = re.compile(b"/{2,}")
#: Methods are case-sensitive, but the client library for upstream would turn `get` into `GET`.
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
#: CONNECT would open a tunnel; TRACE would send the bridge's signature back.
_REJECTED_METHODS = frozenset({"CONNECT", "TRACE"})
#: The methods that a 405 names.
ALLOWED_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class Request:
    """A request in the terms of ASGI, with its identity once it is authenticated. Headers have names in lower case."""

    def __init__(self, scope: Scope, receive: Receive, *, routes: RouteTable, read_timeout: ReadTimeout) -> None:
        self.scope = scope
        self._receive = receive
        self._routes = routes
        self._read_timeout = read_timeout
        self.method: str = scope["method"]
        #: Set by the application after authentication.
        self.identity = UNKNOWN_IDENTITY
        #: The length of the body so far, whether no more of it will come, and whether it is streamed to upstream.
        self.received_bytes = 0
        self.is_body_over = False
        self.is_streamed = False
        #: The kind of write that it is if it is proxied although it is normally queued (`api.action_modes`).
        self.switched_op: Op | None = None
        #: The span that records the request, if tracing is on.
        self.span: RequestSpan | None = None
        #: The SHA-256 that the body must have, and that of what has arrived.
        self._expected_hash: tuple[str, hashlib._Hash] | None = None
        #: The body, if an earlier stage has read it.
        self._buffered: bytes | None = None
        client_id = self.header(b"x-request-id")
        #: The client's own id of the request if it has a valid one, else a new one.
        self.request_id = client_id if client_id and _REQUEST_ID.fullmatch(client_id) else secrets.token_hex(8)
        path: str = scope["path"]
        # A base URL that ends in a slash must not bypass the queue.
        self.path = _SLASHES.sub("/", path) if "//" in path else path

    @property
    def client(self) -> Client:
        """The authenticated client, or ``UNAUTHENTICATED``."""
        return self.identity.client

    @cached_property
    def host_name(self) -> str:
        """The name in ``Host``, in lower case and without the port; empty for an invalid one."""
        with suppress(ValueError):
            return (urlsplit(f"//{self.header(b'host') or ''}").hostname or "").rstrip(".")
        return ""

    @cached_property
    def is_own(self) -> bool:
        """Whether its path is one of the bridge's own, and not MLflow's."""
        return self._routes.is_own(self.path)

    @cached_property
    def own_route(self) -> Route | None:
        """The route of the bridge's own that serves it, if there is one."""
        return self._routes.find(self.method, self.path) if self.is_own else None

    @cached_property
    def is_open(self) -> bool:
        """Whether its path needs no credentials."""
        return self.is_own and self._routes.is_open(self.path)

    @cached_property
    def endpoint_match(self) -> EndpointMatch | None:
        """The endpoint of MLflow's that it calls; None for a call of the bridge's own, and for an unknown one."""
        return None if self.is_own else find_endpoint(self.method, self.path)

    @property
    def op(self) -> Op | None:
        """The kind of write as which MLflow's call is queued; None for any other call."""
        return self.endpoint_match.op if self.endpoint_match else None

    @property
    def is_write(self) -> bool:
        """Whether it is a call with writes that are queued."""
        return self.own_route.is_queued if self.own_route is not None else self.op is not None

    def check_framing(self) -> None:
        """Raise ``MalformedFraming`` where a proxy in front may have read another length or host."""
        if self._headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise MalformedFraming("The only supported Transfer-Encoding is `chunked`, once.", 501)
        if len(self._headers) == len(self.headers):
            return
        names = [name for name, _ in self.headers]
        if names.count(b"transfer-encoding") > 1 or names.count(b"host") > 1:
            raise MalformedFraming("A request must have one Host, and at most one Transfer-Encoding.")

    @property
    def via(self) -> list[str]:
        """The ids of the bridges that have forwarded it (``Via``)."""
        if b"via" not in self._headers:
            return []
        return parse_via(value.decode("latin-1") for name, value in self.headers if name == b"via")

    def check_path(self) -> None:
        """Raise ``InvalidWrite`` for a path that upstream would normalise: with dot segments or control characters."""
        if _CONTROL.search(self.path):
            raise InvalidWrite("The path must not have control characters.", "BAD_REQUEST")
        if "/." in self.path and not {".", ".."}.isdisjoint(self.path.split("/")):
            raise InvalidWrite("The path must not have segments `.` or `..`.", "BAD_REQUEST")

    def check_method(self) -> None:
        """Raise ``MethodNotAllowed`` for an invalid method, and for those that are never forwarded."""
        if self.method in _REJECTED_METHODS or not _METHOD.fullmatch(self.method):
            raise MethodNotAllowed(ALLOWED_METHODS, "The bridge does not forward this method.")

    @cached_property
    def target(self) -> str:
        """Path and query as the client wrote them, percent-encoded."""
        # A server that keeps only the decoded path can't distinguish `/` from `%2F` in it.
        raw = self.scope.get("raw_path") or quote(self.scope["path"], safe=_PATH_SAFE).encode()
        path, query = _SLASHES_RAW.sub(b"/", raw), self.scope["query_string"]
        # Bytes beyond ASCII are quoted one by one later, whatever their encoding is.
        return (path + b"?" + query if query else path).decode("utf-8", "surrogateescape")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Name, in lower case, and value of each header, in their order."""
        pairs: list[tuple[bytes, bytes]] = self.scope["headers"]
        return pairs

    @cached_property
    def _headers(self) -> dict[bytes, bytes]:
        return dict(self.scope["headers"])

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in lower case, or None. Of a repeated header, the last."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def start_span(self, tracer: Tracer) -> None:
        """Record the request as a span, which becomes the parent of what follows."""
        self.span = tracer.request(self.method, self.path, self._client_trace())

    @property
    def trace_context(self) -> TraceContext:
        """The request id and trace context that are stored with each of its writes."""
        return trace_context_of(self.request_id, self.span.trace if self.span else self._client_trace())

    def _client_trace(self) -> TraceParent | None:
        parent = self.header(b"traceparent")
        return read_trace(parent, self.header(b"tracestate")) if parent else None

    @property
    def workspace(self) -> str | None:
        """MLflow's workspace (``X-MLFLOW-WORKSPACE``). Raises for a value that can't be sent as a header."""
        return check_header(self.header(b"x-mlflow-workspace"), "X-MLFLOW-WORKSPACE")

    @property
    def header_texts(self) -> dict[str, str]:
        """Each header by its name in lower case, decoded. Of a repeated header, the last."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers.items()}

    def address(self, *, trusted_proxies: int) -> str:
        """Return the client's address: the peer's, or the one that the outermost of the trusted proxies has seen."""
        peer = (self.scope.get("client") or ("",))[0]
        if not trusted_proxies:
            return str(peer)
        lines = [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]
        seen = [_PORT.sub(r"\1", part.strip()) for part in ",".join(lines).split(",") if part.strip()]
        return str([*seen, peer][-trusted_proxies - 1]) if len(seen) >= trusted_proxies else str(peer)

    @property
    def has_body(self) -> bool:
        """Whether the client announces a body (RFC 9112, section 6.3)."""
        return b"transfer-encoding" in self._headers or self._headers.get(b"content-length", b"0") != b"0"

    @property
    def content_length(self) -> int | None:
        """The Content-Length, None if there is none."""
        digits = self._headers.get(b"content-length", b"")
        # The parser accepts digits only; a number of more than twenty digits is too large in any case.
        return int(digits[:20]) if digits.isdigit() else None

    def expect_hash(self, sha256: str) -> None:
        """Make reading the body to its end raise ``Unauthenticated`` if the body has another SHA-256."""
        self._expected_hash = sha256, hashlib.sha256()

    async def buffer(self, *, max_bytes: int) -> bytes:
        """Return the whole body as ``body`` does, and keep it, so that later stages can read it again."""
        if self._buffered is None:
            self._buffered = await self.body(max_bytes=max_bytes)
        return self._buffered

    async def body(self, *, max_bytes: int) -> bytes:
        """Return the whole body, or raise ``InvalidWrite`` (413) for a longer one."""
        if (self.content_length or 0) > max_bytes:
            await self._drop_some(max_bytes)
            raise _too_large(max_bytes)
        message = await self._next_message()
        body: bytes = message.get("body", b"")
        # Most bodies arrive in one message, and need no copy.
        if message.get("more_body"):
            joined = bytearray(body)
            while message.get("more_body"):
                message = await self._next_message()
                joined += message.get("body", b"")
                if len(joined) > max_bytes:
                    if message.get("more_body"):
                        await self._drop_some(max_bytes)
                    raise _too_large(max_bytes)
            body = bytes(joined)
        return body

    @property
    def is_buffered(self) -> bool:
        """Whether the body has been read, and can be read again."""
        return self._buffered is not None

    def set_read_timeout(self, read_timeout: ReadTimeout) -> None:
        """Apply another read timeout from now on."""
        self._read_timeout = read_timeout

    def replace_body(self, body: bytes) -> None:
        """Make later stages read this body, in place of the one that has been read."""
        self._buffered = body

    def release_memory(self, address: str) -> None:
        """Release head and body of a request that only waits for its response.

        Its client, address, method and path stay: the access log needs them.
        """
        self.scope |= {"client": (address, 0), "headers": [], "raw_path": b"", "query_string": b"", "path": ""}
        self.path = self.path[:MAX_LOGGED_PATH]
        self._buffered = None
        self.__dict__.pop("_headers", None)

    async def _drop_some(self, max_bytes: int) -> None:
        """Read and drop up to ``max_bytes`` more: without that, a client that is still sending gets no response."""
        async for chunk in self.body_chunks():
            max_bytes -= len(chunk)
            if max_bytes < 0:
                return

    async def body_chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, or raise ``RequestIncomplete`` or ``RequestStalled``."""
        has_more = True
        while has_more:
            message = await self._next_message()
            chunk = message.get("body", b"")
            has_more = message.get("more_body", False)
            if chunk:
                yield chunk

    async def disconnected(self) -> None:
        """Return when the client has disconnected. The rest of its body is dropped."""
        while (message := await self._receive())["type"] != "http.disconnect":
            self._count_bytes(message)
        self.is_body_over = True

    @property
    def is_sending(self) -> bool:
        """Whether the client is in the middle of a streamed body, and does not wait for `100 Continue`."""
        has_begun = self.received_bytes > 0 or b"expect" not in self._headers
        return self.is_streamed and not self.is_body_over and has_begun

    async def drop_rest(self, *, timeout_s: float, pause_s: float) -> None:
        """Read and drop the rest of the body; stop after ``timeout_s``, or if nothing comes for ``pause_s``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        with suppress(TimeoutError, RequestIncomplete, Unauthenticated):
            while not self.is_body_over:
                async with asyncio.timeout_at(min(end, loop.time() + pause_s)):
                    await self._next_message()

    async def _next_message(self) -> Message:
        if self._buffered is not None:
            return {"type": "http.request", "body": self._buffered}
        try:
            message = await self._read_timeout.next_message(self._receive)
        except RequestStalled:
            self.is_body_over = True
            raise
        if message["type"] != "http.request":
            self.is_body_over = True
            raise RequestIncomplete(f"The body ended after {self.received_bytes} of {self.content_length} bytes")
        self._count_bytes(message)
        if self._expected_hash is not None:
            expected, digest = self._expected_hash
            digest.update(message.get("body", b""))
            if not message.get("more_body") and digest.hexdigest() != expected:
                raise Unauthenticated("The signature is not valid: the body has another hash than the signed one.")
        return message

    def _count_bytes(self, message: Message) -> None:
        self.received_bytes += len(message.get("body", b""))
        self.is_body_over = not message.get("more_body", False)


#: Of a request that is not authenticated, or not yet.
UNKNOWN_IDENTITY = Identity(UNAUTHENTICATED)


def _too_large(max_bytes: int) -> InvalidWrite:
    return InvalidWrite(
        f"The body is too long; the maximum is {max_bytes} bytes. Send several smaller requests.",
        "REQUEST_TOO_LARGE",
        413,
    )
