# SPDX-License-Identifier: Apache-2.0
"""A request as it comes in. While its body is on its way no thread waits for it, however slowly it comes."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cached_property
from urllib.parse import quote

from api.http.exceptions import MalformedFraming, Unauthenticated
from api.http.paths import is_own_path
from api.http.types import Message, Receive, Scope
from bridge.auth.sigv4 import SignedHeaders
from bridge.errors import RequestIncomplete, RequestStalled
from bridge.outbox import Accepted
from bridge.upstream.loop_detection import parse_via
from bridge.upstream.tracing import RequestSpan, Tracer
from schemas.client import UNAUTHENTICATED, Client
from schemas.endpoints import EndpointMatch, find
from schemas.errors import InvalidWrite
from schemas.mlflow_limits import check_header
from schemas.trace_context import TraceContext, TraceParent, read_trace, trace_context_of
from schemas.write import Write

_STALLED = float("-inf")


class ReadTimeout:
    """Waits for what clients send, for a limited time."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        #: Since when each task has been waiting.
        self._since: dict[asyncio.Task[object], float] = {}
        self._looks = False

    async def next(self, receive: Receive) -> Message:
        """Return the next message, or raise ``RequestStalled`` if none comes for that long, or a sixth longer."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            return await receive()
        self._since[task] = loop.time()
        if not self._looks:
            self._looks = True
            loop.call_later(self._seconds / 6, self._look, loop)
        try:
            return await receive()
        except asyncio.CancelledError:
            if self._since[task] != _STALLED:
                raise
            task.uncancel()
            raise RequestStalled(f"Nothing more of the body came for {self._seconds:.0f} s") from None
        finally:
            del self._since[task]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        since = loop.time() - self._seconds
        for task, began in self._since.items():
            if _STALLED < began < since:
                self._since[task] = _STALLED
                task.cancel()
        self._looks = bool(self._since)
        if self._looks:
            loop.call_later(self._seconds / 6, self._look, loop)


# What RFC 3986 allows in a path beside letters and digits.
_PATH_SAFE = "/-._~!$&'()*+,;=:@"
#: Some proxies add the port to an address of IPv4.
_PORT = re.compile(r"^(\d+(?:\.\d+){3}):\d+$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: How many characters of a path are ever shown.
SHOWN = 1000
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SLASHES = re.compile("/{2,}")
_SLASHES_RAW = re.compile(b"/{2,}")


class Request:
    """What was asked, and by whom."""

    def __init__(self, scope: Scope, receive: Receive, patience: ReadTimeout) -> None:
        self.scope = scope
        self._receive = receive
        self._patience = patience
        self.method: str = scope["method"]
        #: Who asks; set once that is known.
        self.client: Client = UNAUTHENTICATED
        #: What he has to be allowed, and whether he is.
        self.action: str | None = None
        self.decision = "unauthenticated"
        #: Who answers; ``none`` for one that is turned away.
        self.route = "rejected"
        #: What a queued write was written to, once it is accepted.
        self.lane: str | None = None
        #: The write itself, where its answer says something of it.
        self.written: Write | None = None
        self.writes = 0
        #: Bytes of its body so far, whether they count for its client's quota, and how many have been counted.
        self.received = 0
        self.is_counted = False
        self.charged = 0
        #: Whether its body is sent on while it comes in, and whether nothing more of it will come.
        self.is_streamed = False
        self.is_over = False
        #: Who records it, if anybody does.
        self.span: RequestSpan | None = None
        self.accepted: Accepted | None = None
        #: The signature that it came with, once it is known to be good.
        self.claim: SignedHeaders | None = None
        #: What the body must hash to, and its hash so far.
        self._expected: tuple[str, hashlib._Hash] | None = None
        #: The body, if it was read before those asked for it who need it.
        self._kept: bytes | None = None
        sent = self.header(b"x-request-id")
        #: The client's own id of the request, if it has one that can be told, or a new one.
        self.request_id = sent if sent and _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
        path: str = scope["path"]
        # A base URL that ends in a slash must not lead around the queue.
        self.path = _SLASHES.sub("/", path) if "//" in path else path

    @cached_property
    def found(self) -> EndpointMatch | None:
        """Which of MLflow's calls it is, as far as they are known; None for one of the bridge's own."""
        return None if is_own_path(self.path) else find(self.method, self.path)

    def check_framing(self) -> None:
        """Raise ``MalformedFraming`` where a proxy in front may have read another length or host."""
        if self._headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise MalformedFraming("Of transfer codings only `chunked` is known, once.", 501)
        if len(self._headers) == len(self.headers):
            return
        names = [name for name, _ in self.headers]
        if names.count(b"transfer-encoding") > 1 or names.count(b"host") > 1:
            raise MalformedFraming("There must be one Host, and one Transfer-Encoding at most.")

    @property
    def bridges(self) -> list[str]:
        """The names of the bridges that it has come through (``Via``)."""
        if b"via" not in self._headers:
            return []
        return parse_via(value.decode("latin-1") for name, value in self.headers if name == b"via")

    def check_path(self) -> None:
        """Raise for a path that upstream would read as another one: with dot segments, or with control characters."""
        if _CONTROL.search(self.path):
            raise InvalidWrite("The path must not have control characters.", "BAD_REQUEST")
        if "/." in self.path and not {".", ".."}.isdisjoint(self.path.split("/")):
            raise InvalidWrite("The path must not have segments `.` or `..`.", "BAD_REQUEST")

    @cached_property
    def target(self) -> str:
        """Path and query as the client wrote them, percent-encoded."""
        # A server that keeps the path only decoded can't tell a slash of the path from one in a name.
        raw = self.scope.get("raw_path") or quote(self.scope["path"], safe=_PATH_SAFE).encode()
        path, query = _SLASHES_RAW.sub(b"/", raw), self.scope["query_string"]
        # Bytes beyond ASCII are quoted one by one later on, whatever they mean.
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
        """Return a header by its name in lower case, or None. Of one that came several times, the last."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def follow(self, tracer: Tracer) -> None:
        """Have it recorded. From now on its place in the trace is that of the record."""
        self.span = tracer.request(self.method, self.path, self._sent_trace())

    @property
    def trace_context(self) -> TraceContext:
        """What is stored with each write of the request, so that it can be followed."""
        return trace_context_of(self.request_id, self.span.trace if self.span else self._sent_trace())

    def _sent_trace(self) -> TraceParent | None:
        """Return where the client's trace has come to, if it has one."""
        sent = self.header(b"traceparent")
        return read_trace(sent, self.header(b"tracestate")) if sent else None

    @property
    def workspace(self) -> str | None:
        """The workspace that is asked for (``X-MLFLOW-WORKSPACE``), or raise for one that no header can hold again."""
        return check_header(self.header(b"x-mlflow-workspace"), "X-MLFLOW-WORKSPACE")

    @property
    def texts(self) -> dict[str, str]:
        """Each header by its name in lower case. Of one that came several times, the last."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers.items()}

    def address(self, *, proxies: int) -> str:
        """Return the client's address: who is connected, or what the outermost of so many trusted proxies has seen."""
        connected = (self.scope.get("client") or ("",))[0]
        if not proxies:
            return str(connected)
        lines = [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]
        seen = [_PORT.sub(r"\1", part.strip()) for part in ",".join(lines).split(",") if part.strip()]
        return str([*seen, connected][-proxies - 1]) if len(seen) >= proxies else str(connected)

    @property
    def has_body(self) -> bool:
        """Whether the client announces a body (RFC 9112, section 6.3)."""
        return b"transfer-encoding" in self._headers or self._headers.get(b"content-length", b"0") != b"0"

    @property
    def announced(self) -> int | None:
        """How long the body is, as the client says, None if it does not."""
        announced = self._headers.get(b"content-length", b"")
        # hyper lets nothing but digits through; a number of more than twenty of them is too large, whatever it is.
        return int(announced[:20]) if announced.isdigit() else None

    def expect(self, sha256: str) -> None:
        """Have whoever reads the body to its end find it to be of this hash, or else ``Unauthenticated`` raised."""
        self._expected = sha256, hashlib.sha256()

    async def keep(self, *, longest: int) -> bytes:
        """Return the whole body as ``body`` does; it can be read again after that."""
        if self._kept is None:
            self._kept = await self.body(longest=longest)
        return self._kept

    async def body(self, *, longest: int) -> bytes:
        """Return the whole body, or raise ``InvalidWrite`` for one that is too long."""
        announced = self.announced or 0
        if announced > longest:
            await self._discard(longest)
            raise _too_large(longest)
        message = await self._next()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            whole = bytearray(body)
            while message.get("more_body"):
                message = await self._next()
                whole += message.get("body", b"")
                if len(whole) > longest:
                    if message.get("more_body"):
                        await self._discard(longest)
                    raise _too_large(longest)
            body = bytes(whole)
        return body

    @property
    def is_kept(self) -> bool:
        """Whether the body has been read, and can be read again."""
        return self._kept is not None

    def wait_with(self, patience: ReadTimeout) -> None:
        """Wait for the client's body in this way from now on."""
        self._patience = patience

    def put_back(self, body: bytes) -> None:
        """Have this read as the body, in place of the one that has been read."""
        self._kept = body

    def shed(self, address: str) -> None:
        """Let go of its head and body, for one that only waits: what is left is who asked, from where, and for what."""
        self.scope |= {"client": (address, 0), "headers": [], "raw_path": b"", "query_string": b"", "path": ""}
        self.path = self.path[:SHOWN]
        self._kept = None
        self.__dict__.pop("_headers", None)

    async def _discard(self, most: int) -> None:
        """Read on for a while: a client that is still sending would find its connection broken, and no answer."""
        async for chunk in self.chunks():
            most -= len(chunk)
            if most < 0:
                return

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, or raise ``RequestIncomplete`` or ``RequestStalled`` if it does not."""
        more = True
        while more:
            message = await self._next()
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            if chunk:
                yield chunk

    async def gone(self) -> None:
        """Return when the client has gone. What is left of its body is dropped."""
        while (message := await self._receive())["type"] != "http.disconnect":
            self._note(message)
        self.is_over = True

    @property
    def is_sending(self) -> bool:
        """Whether the client is in the middle of a body that is sent on, and does not still wait for leave to begin."""
        return self.is_streamed and not self.is_over and (self.received > 0 or b"expect" not in self._headers)

    async def discard_rest(self, *, seconds: float, pause: float) -> None:
        """Read what is left of the body and drop it, for so many seconds at most, and until a pause of the client's."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        with suppress(TimeoutError, RequestIncomplete, Unauthenticated):
            while not self.is_over:
                async with asyncio.timeout_at(min(end, loop.time() + pause)):
                    await self._next()

    async def _next(self) -> Message:
        if self._kept is not None:
            return {"type": "http.request", "body": self._kept}
        try:
            message = await self._patience.next(self._receive)
        except RequestStalled:
            self.is_over = True
            raise
        if message["type"] != "http.request":
            self.is_over = True
            raise RequestIncomplete(f"The body ended after {self.received} of {self.announced} bytes")
        self._note(message)
        if self._expected is not None:
            expected, digest = self._expected
            digest.update(message.get("body", b""))
            if not message.get("more_body") and digest.hexdigest() != expected:
                raise Unauthenticated("The signature does not count: the body is not the one that was signed.")
        return message

    def _note(self, message: Message) -> None:
        """Note how much has come of the body, and whether that is all."""
        self.received += len(message.get("body", b""))
        self.is_over = not message.get("more_body", False)


def _too_large(longest: int) -> InvalidWrite:
    return InvalidWrite(
        f"The body is too long; at most {longest} bytes are taken. Send several smaller batches.",
        "REQUEST_TOO_LARGE",
        413,
    )
