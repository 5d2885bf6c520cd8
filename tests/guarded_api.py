# SPDX-License-Identifier: Apache-2.0
"""A real api process that asks for keys, with a store of its own before a recording upstream, asked on raw sockets."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests import forked
from tests.recording_upstream import OK, RecordingUpstream
from tests.servers import Server, api_with, clean_environ, redis_at, running
from tests.system import CREDENTIALS

#: Short, so that a battery of bodies of this length stays quick.
MAX_BODY = 2 * 1024 * 1024
#: How long, in seconds, a connection may be idle.
IDLE = 10
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#: What the api asks upstream for itself, every half minute: version, reachability, and which calls there are.
_EXAMINATION = re.compile(
    rb"[A-Z]+ (/version|\S+/experiments/search\?max_results=1|\S+/traces/none/\S+|\S+/(outputs|delete-experiment-tag"
    rb"|link-to-run|link-prompts)|/v1/traces) .*\r\nUser-Agent: mlflow-bridge\r\n",
    re.DOTALL,
)
CLIENTS = {"ops-admin": ("--admin",), "nightly-default": (), "portal-reader": ("--read-only",)}


@dataclass(frozen=True)
class Answered:
    """What came back on one connection."""

    received: bytes
    #: Whether the server has closed it, and after how many seconds.
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The status of each answer, in their order."""
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.received)]


@dataclass(frozen=True)
class GuardedApi:
    url: str
    upstream: RecordingUpstream
    #: The key of each client, by its name.
    keys: dict[str, str]
    api: Server
    directory: Path
    store_url: str

    def head(self, method: str, target: str, *headers: str, client: str = "ops-admin", close: bool = True) -> bytes:
        """The head of a request that is allowed everything; with `close` the connection ends with its answer."""
        bearer = [f"Authorization: Bearer {self.keys[client]}"] if client else []
        last = ["Connection: close"] if close else []
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *bearer, *last, *headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def post(self, path: str, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
        """A whole request with this body."""
        return self.head("POST", path, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body

    def ask(self, request: bytes, *, patience: float = 10.0, hang_up: bool = False) -> Answered:
        """Send these bytes; whatever is answered, it tells nothing it must not, and the next one is served as well."""
        answered = self._send(request, patience=patience, hang_up=hang_up)
        self.check(answered.received)
        health = self._send(HEALTH, patience=10, hang_up=False)
        assert health.statuses == [200], health
        return answered

    def seen(self, request: bytes, answer: bytes = OK) -> tuple[Answered, list[bytes]]:
        """What was answered to these bytes, and what upstream has seen of them, if it answers this."""
        self.upstream.expect(answer)
        return self.ask(request), [each for each in self.upstream.requests if not _EXAMINATION.match(each)]

    def check(self, received: bytes) -> None:
        """Nothing that is answered may hold a secret, a path of this machine or a trace of the code."""
        assert 500 not in Answered(received, closed=True, seconds=0).statuses, received
        secrets = [*self.keys.values(), CREDENTIALS.secret_key, CREDENTIALS.session_token or "", self.store_url]
        inside = [str(self.directory), str(Path(__file__).parents[1]), "site-packages", "Traceback", 'File \\"']
        named = [word for word in (*secrets, *inside) if word.encode() in received]
        assert named == [], received[:2000]

    def processes(self) -> list[int]:
        """The server processes, the one that watches over them first."""
        children = Path(f"/proc/{self.api.pid}/task/{self.api.pid}/children").read_text()
        return [self.api.pid, *map(int, children.split())]

    def _send(self, request: bytes, *, patience: float, hang_up: bool) -> Answered:
        url, began = urlsplit(self.url), time.monotonic()
        received, closed = b"", False
        with socket.create_connection((str(url.hostname), url.port or 80), timeout=patience) as connection:
            # A server that has heard enough closes before all is sent.
            with contextlib.suppress(ConnectionError):
                connection.sendall(request)
            with contextlib.suppress(TimeoutError, OSError):
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
                while arrived := connection.recv(1 << 16):
                    received += arrived
                closed = True
        return Answered(received, closed, time.monotonic() - began)


class Unfinished(threading.Thread):
    """A client that does not come to an end: it sends this, and then something more each second."""

    def __init__(self, url: str, first: bytes, more: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._place = (str(urlsplit(url).hostname), urlsplit(url).port or 80)
        self._first = first
        self._more = more
        self.received = b""
        #: Whether the server has had enough.
        self.ended = False

    def run(self) -> None:
        with contextlib.suppress(ConnectionError), socket.create_connection(self._place, timeout=1) as connection:
            connection.sendall(self._first)
            while self._goes_on(connection):
                pass
        self.ended = True

    def _goes_on(self, connection: socket.socket) -> bool:
        try:
            arrived = connection.recv(1 << 16)
        except TimeoutError:
            connection.sendall(self._more)
            return True
        self.received += arrived
        return bool(arrived)


@contextmanager
def guarded_api(directory: Path) -> Iterator[GuardedApi]:
    """Run all of it until the `with` ends."""
    with ExitStack() as stack:
        upstream = stack.enter_context(RecordingUpstream())
        store, store_url = redis_at(directory)
        stack.enter_context(running(store))
        keys = {name: _key(store_url, name, options) for name, options in CLIENTS.items()}
        environ = {
            "BRIDGE_STORE_URL": store_url,
            "BRIDGE_UPSTREAM": upstream.url,
            "BRIDGE_AUTH": "keys",
            "BRIDGE_MAX_BODY_SIZE": f"{MAX_BODY}B",
            "BRIDGE_MAX_LONG_BODY_SIZE": f"{MAX_BODY}B",
            "BRIDGE_PROXY_TIMEOUT": "5s",
            "BRIDGE_IDLE_TIMEOUT": f"{IDLE}s",
            # Nothing is delivered here, so nobody need wait for it.
            "BRIDGE_READ_YOUR_WRITES_TIMEOUT": "1ms",
            "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
            "AWS_SESSION_TOKEN": CREDENTIALS.session_token or "",
        }
        api, url = api_with(environ, directory)
        stack.enter_context(running(api))
        yield GuardedApi(url, upstream, keys, api, directory, store_url)


def _key(store_url: str, name: str, options: tuple[str, ...]) -> str:
    environ = clean_environ() | {"BRIDGE_STORE_URL": store_url}
    return forked.run("mlflow-bridge", "keys", "create", name, *options, environ=environ).stdout.strip()
