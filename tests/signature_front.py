# SPDX-License-Identifier: Apache-2.0
"""Stands in front of a real MLflow server like SageMaker's door: lets properly signed calls through and records all.

A test can also make it fail: throttle, hang, cut a connection before or after the write was committed. What it passes
on goes byte for byte to the real server, and the real answer comes back undecoded.
"""

import contextlib
import json
import select
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from tests.signature_check import Credentials, Refusal, SignatureCheck, WireRequest
from tests.upstream_faults import Answer, Commit, Fault, Matching

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade"}
)
_SET_BY_FRONT = _HOP_BY_HOP | {"host", "content-length", "expect"}
#: Seconds for which an idle connection is trusted: below the 5 s after which uvicorn closes its own end.
_TRUSTED_IDLE = 2.0
_ENDS_WITHIN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that arrived at the door, and how it ended."""

    method: str
    path: str
    query: str
    #: Names in lower case; values sent under one name are joined by a comma.
    headers: dict[str, str]
    body: bytes
    #: Of the answer; 0 while there is none, and for ever if the connection was cut.
    status: int = 0
    #: `time.monotonic()` when the request had arrived completely.
    at: float
    #: What the real server answered (502 or 504 if it could not be asked); None if the call was not forwarded.
    upstream_status: int | None = None


def _examines(call: Call) -> bool:
    tried = ("/outputs", "/delete-experiment-tag", "/link-to-run", "/link-prompts", "/none/tags", "/v1/traces")
    return call.path == "/version" or (call.body == b"{}" and call.path.endswith(tried))


@dataclass(slots=True)
class _Trouble:
    """A fault, the calls that it concerns, and how many of them it still strikes (None: all)."""

    fault: Fault
    matching: Matching | None
    left: int | None = None


class SignatureFront:
    """A real HTTP server on 127.0.0.1 that lets through what AWS would let through, for as long as the `with` lasts."""

    def __init__(self, upstream_url: str, *, check: SignatureCheck | None, upstream_timeout: float = 60) -> None:
        """With `check=None` nothing is verified or withheld: a plain front whose faults can be scripted."""
        upstream = urlsplit(upstream_url)
        self.upstream = (upstream.hostname or "127.0.0.1", upstream.port or 80)
        self.upstream_timeout = upstream_timeout
        #: May be replaced at any time; a request is judged by the one in force when it has arrived.
        self.check = check
        #: Added to the real time: moves the door's clock, and the `Date` that its answers carry.
        self.clock_offset = timedelta()
        self.stopping = False
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._scripted: deque[_Trouble] = deque()
        self._standing: _Trouble | None = None
        self._over = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping = True
        self.set_fault(None)
        self._server.stop()

    @property
    def calls(self) -> list[Call]:
        """Every call in the order of arrival, those included that were refused or are still unanswered.

        Not those with which an api finds out what upstream can do: it may do so at any moment after its start.
        """
        with self._changed:
            return [call for call in self._calls if not _examines(call)]

    def wait_for_calls(self, count: int, *, timeout: float = 10, matching: Matching | None = None) -> list[Call]:
        """The calls that match, as soon as there are so many of them; TimeoutError if they don't come."""

        def arrived() -> list[Call]:
            return [call for call in self._calls if matching is None or matching(call.method, call.path)]

        with self._changed:
            if not self._changed.wait_for(lambda: len(arrived()) >= count, timeout):
                raise TimeoutError(f"{len(arrived())} of {count} calls came within {timeout} s")
            return arrived()

    def script(self, fault: Fault, times: int = 1, *, matching: Matching | None = None) -> None:
        """The next calls that match meet this fault, each fault in its turn; unsigned calls are refused before that."""
        with self._changed:
            self._scripted.append(_Trouble(fault, matching, times))

    def set_fault(self, fault: Fault | None, *, matching: Matching | None = None) -> None:
        """From now on calls meet this fault; what hangs ends. None clears all, scripted faults too."""
        with self._changed:
            self._standing = None if fault is None else _Trouble(fault, matching)
            if fault is None:
                self._scripted.clear()
            self._over.set()
            self._over = threading.Event()

    def accept(self, *credentials: Credentials) -> None:
        """From now on these identities are let in and no others: a rotation, a revocation."""
        if self.check is None:
            raise ValueError("this front verifies nothing")
        self.check = replace(self.check, credentials=credentials)

    def now(self) -> datetime:
        """The time by the door's clock."""
        return datetime.now(UTC) + self.clock_offset

    def treat(self, request: WireRequest, forward: Commit) -> Answer | None:
        """What to answer, or None to cut the connection; the call is on record before the client knows."""
        path, _, query = request.target.partition("?")
        names = dict.fromkeys(name.lower() for name, _ in request.headers)
        headers = {name: ", ".join(request.values(name)) for name in names}
        call = Call(
            method=request.method, path=path, query=query, headers=headers, body=request.body, at=time.monotonic()
        )
        with self._changed:
            place = len(self._calls)
            self._calls.append(call)
            self._changed.notify_all()
        committed: list[Answer] = []

        def commit() -> Answer:
            committed.append(forward())
            return committed[0]

        answer = self._turned_away(request)
        if answer is None:
            fault, over = self._claim_fault(call)
            answer = fault.strike(commit, over.wait) if fault else commit()
        with self._changed:
            status = answer.status if answer else 0
            upstream_status = committed[0].status if committed else None
            self._calls[place] = replace(call, status=status, upstream_status=upstream_status)
            self._changed.notify_all()
        return answer

    def _turned_away(self, request: WireRequest) -> Answer | None:
        if request.values("transfer-encoding"):
            return Answer(411, {"Content-Type": "text/plain"}, b"Length Required")
        match self.check and self.check.refusal(request, self.now()):
            case Refusal() as refusal:
                headers = {"Content-Type": "application/json", "x-amzn-ErrorType": refusal.error_type}
                return Answer(refusal.status, headers, json.dumps({"message": refusal.message}).encode())
        return None

    def _claim_fault(self, call: Call) -> tuple[Fault | None, threading.Event]:
        with self._changed:
            for trouble in [*self._scripted, *([self._standing] if self._standing else [])]:
                if trouble.matching is None or trouble.matching(call.method, call.path):
                    if trouble.left is not None:
                        trouble.left -= 1
                    if trouble.left == 0:
                        self._scripted.remove(trouble)
                    return trouble.fault, self._over
            return None, self._over


class _Server(ThreadingHTTPServer):
    """Accepts connections, and knows all that is open so that nothing outlives it."""

    daemon_threads = True
    # The default of 5 refuses connections as soon as a handful of workers start at once.
    request_queue_size = 256

    def __init__(self, front: SignatureFront) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.front = front
        self.open: set[socket.socket] = set()
        self._acceptor = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._conversations: set[threading.Thread] = set()

    def start(self) -> None:
        self._acceptor.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        def converse() -> None:
            try:
                self.process_request_thread(request, client_address)
            finally:
                self.open.discard(request)
                self._conversations.discard(thread)

        thread = threading.Thread(target=converse, daemon=True)
        self.open.add(request)
        self._conversations.add(thread)
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may leave at any time; everything else is a bug in this file and has to be seen.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self._acceptor.join(_ENDS_WITHIN)
        self.server_close()
        for conversation in [*self._conversations]:
            for line in [*self.open]:
                _shut(line)
            conversation.join(_ENDS_WITHIN)
            if conversation.is_alive():
                raise RuntimeError("a conversation at the front did not end")


class _Door(BaseHTTPRequestHandler):
    """One client's connection, with at most one connection to upstream behind it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered, so that an answer's head and body leave in one packet.
    wbufsize = -1
    server: _Server
    raw_requestline: bytes

    def setup(self) -> None:
        super().setup()
        self._line: socket.socket | None = None
        self._line_used = 0.0

    def finish(self) -> None:
        self._hang_up()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Quiet: the calls are on record."""

    def handle_expect_100(self) -> bool:
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            self.close_connection = True
            return self.send_error(400)
        unframed = "Transfer-Encoding" in self.headers
        body = b"" if unframed else self.rfile.read(int(length))
        if not unframed and len(body) < int(length):
            raise ConnectionAbortedError("the client left in the middle of its request")
        # `self.path` won't do: the stdlib folds leading slashes.
        target = self.raw_requestline.split()[1]
        headers = [(name, _as_sent(value)) for name, value in self.headers.items()]
        request = WireRequest(
            method=self.command, target=_as_sent(target.decode("latin-1")), headers=headers, body=body
        )
        answer = self.server.front.treat(request, lambda: self._forwarded(target, body))
        self.close_connection = self.close_connection or unframed
        if answer is not None:
            return self._write(answer)
        self.close_connection = True
        return _shut(self.connection)

    # The stdlib finds its methods by these names.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _write(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        given = answer.pairs()
        own = [("Date", format_datetime(self.server.front.now(), usegmt=True))]
        if answer.status not in {204, 304}:
            own.append(("Content-Length", str(len(answer.body))))
        if self.server.front.check:
            own.append(("x-amzn-RequestId", str(uuid4())))
        names = _HOP_BY_HOP | {name.lower() for name, _ in given}
        for name, value in [pair for pair in given if pair[0].lower() not in _HOP_BY_HOP]:
            self.send_header(name, value)
        for name, value in [pair for pair in own if pair[0].lower() not in names]:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            # An answer that announces more than it has is one that is cut off.
            announced = int(dict(own + given).get("Content-Length", 0))
            self.close_connection = self.close_connection or announced > len(answer.body)

    def _forwarded(self, target: bytes, body: bytes) -> Answer:
        host, port = self.server.front.upstream
        lines = [f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if self._passes(name.lower())]
        if body or "Content-Length" in self.headers:
            lines.append(f"Content-Length: {len(body)}")
        head = b"%s %s HTTP/1.1\r\n" % (self.command.encode(), target)
        try:
            return self._exchanged(head + "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body)
        except (OSError, HTTPException) as reason:
            self._hang_up()
            status = 504 if isinstance(reason, TimeoutError) else 502
            return Answer(status, {"Content-Type": "text/plain"}, f"upstream: {type(reason).__name__}".encode())

    def _passes(self, name: str) -> bool:
        check = self.server.front.check
        ours = check and (name in {"authorization", check.kind.arn_header} or name.startswith("x-amz-"))
        return not ours and name not in _SET_BY_FRONT

    def _exchanged(self, message: bytes) -> Answer:
        line = self._connected()
        line.sendall(message)
        # MLflow's server leaves Nagle on with several workers: a delayed acknowledgement would cost 44 ms a call.
        if sys.platform == "linux":
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        response = HTTPResponse(line, method=self.command)
        response.begin()
        body = response.read()
        self._line_used = time.monotonic()
        if response.will_close:
            self._hang_up()
        return Answer(response.status, [pair for pair in response.getheaders() if pair[0].lower() != "date"], body)

    def _connected(self) -> socket.socket:
        # Only a connection that is surely open is used again: sending a call twice would falsify what a test counts.
        if self._line is not None:
            poll = select.poll()
            poll.register(self._line, select.POLLIN)
            if time.monotonic() - self._line_used > _TRUSTED_IDLE or poll.poll(0):
                self._hang_up()
        if self._line is None:
            front = self.server.front
            self._line = socket.create_connection(front.upstream, timeout=front.upstream_timeout)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.server.open.add(self._line)
        if self.server.front.stopping:
            raise ConnectionAbortedError
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self.server.open.discard(self._line)
            self._line.close()
            self._line = None


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _as_sent(text: str) -> str:
    # The stdlib reads the head as Latin-1; a signature is over the bytes, which awscrt takes as UTF-8.
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
