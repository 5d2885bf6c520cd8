# SPDX-License-Identifier: Apache-2.0
"""The load generator: one thread, many keep-alive connections, requests encoded before the clock starts.

It implements only the HTTP/1.1 that it needs to send a request and to find the end of the response, so that it costs a
fraction of any server under load. For its own limits see `benchmarks/README.md`.
"""

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_READ = 1 << 18


@dataclass(slots=True)
class Load:
    """The responses and latencies of one run."""

    seconds: float = 0.0
    #: Seconds from the scheduled send time to the response, in the order of the responses.
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency quantile, in seconds, for this share of the requests."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return an encoded request. A body is JSON unless a header says otherwise."""
    headers = headers or {}
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n"
    if body and "Content-Type" not in headers:
        head += "Content-Type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + body


def closed(url: str, requests: Iterable[bytes], *, connections: int) -> Load:
    """Closed loop: send requests as fast as they are answered, one at a time on each connection."""
    return _Run(url, connections).go(((0.0, each) for each in requests), paced=False)


def opened(url: str, requests: Iterable[bytes], *, per_second: float, connections: int) -> Load:
    """Open loop: send requests at a fixed rate, independent of the server.

    A request waits if all connections are busy. Its latency includes that wait, so a stall affects every request that
    was scheduled during it.
    """
    schedule = ((number / per_second, each) for number, each in enumerate(requests))
    return _Run(url, connections).go(schedule, paced=True)


class _Run:
    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._selector = selectors.DefaultSelector()
        self._free = deque(_Line(self._connect(), self._selector) for _ in range(connections))
        self._load = Load()

    def go(self, schedule: Iterator[tuple[float, bytes]], *, paced: bool) -> Load:
        began = time.perf_counter()
        busy, upcoming = 0, next(schedule, None)
        while busy or upcoming:
            now = time.perf_counter() - began
            while upcoming and self._free and upcoming[0] <= now:
                due = upcoming[0] if paced else now
                self._free.popleft().send(upcoming[1], began + due)
                busy, upcoming = busy + 1, next(schedule, None)
            wait = max(0.0, upcoming[0] - now) if upcoming and self._free else 1.0
            busy -= self._receive(wait)
        self._load.seconds = time.perf_counter() - began
        self._close()
        return self._load

    def _receive(self, wait: float) -> int:
        """Read the available bytes and return the number of complete responses."""
        complete = 0
        for key, _ in self._selector.select(wait):
            line: _Line = key.data
            status = line.receive()
            if status is None:
                continue
            self._load.latencies.append(time.perf_counter() - line.due)
            self._load.statuses[status] += 1
            self._free.append(line)
            complete += 1
        return complete

    def _connect(self) -> socket.socket:
        line = socket.create_connection(self._address)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def _close(self) -> None:
        for line in self._free:
            line.socket.close()
        self._selector.close()


class _Line:
    """A keep-alive connection with at most one request in flight."""

    def __init__(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        self.socket = connection
        self.due = 0.0
        self._received = b""
        #: Bytes of the body that are still to come, once the head is there; a long body is not kept.
        self._missing: int | None = None
        selector.register(connection, selectors.EVENT_READ, self)

    def send(self, text: bytes, due: float) -> None:
        self.due = due
        self._received = b""
        self._missing = None
        self.socket.sendall(text)

    def receive(self) -> int | None:
        """Read the available bytes and return the status once the response is complete."""
        arrived = self.socket.recv(_READ)
        if not arrived:
            raise ConnectionError("the server closed a keep-alive connection")
        if self._missing is None:
            self._received += arrived
            head, end, body = self._received.partition(b"\r\n\r\n")
            if not end:
                return None
            self._missing = _announced(head) - len(body)
        else:
            self._missing -= len(arrived)
        return int(self._received[9:12]) if self._missing <= 0 else None


def _announced(head: bytes) -> int:
    for name in (b"\r\nContent-Length:", b"\r\ncontent-length:"):
        _, found, rest = head.partition(name)
        if found:
            return int(rest.split(b"\r\n", 1)[0])
    raise ValueError(f"a response without Content-Length: {head[:200]!r}")
