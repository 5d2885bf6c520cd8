# SPDX-License-Identifier: Apache-2.0
"""Cost of large and slow transfers: memory, and the latency of other requests."""

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, metric, metric_calls, ok
from benchmarks.generator import opened, request
from benchmarks.table import Row, Setting

_MIB = 1 << 20
_OFFERED_PER_S = 200


def stream(setting: Setting) -> Iterator[Row]:
    """Memory of the api during a download and an upload of 1 GiB through the bridge."""
    size = setting.amount(1024) * _MIB
    with (
        contenders.void(setting.place("stream")) as upstream,
        contenders.bridge(upstream, setting.place("stream"), workers=0) as bridge,
    ):
        _download(bridge.url, _MIB)
        before = _memory(bridge.api.pid)
        for verb, transfer in (("download", _download), ("upload", _upload)):
            began = time.perf_counter()
            transfer(bridge.url, size)
            seconds = time.perf_counter() - began
            after = _memory(bridge.api.pid, peak=True)
            yield Row(
                name=f"memory of the api after a {verb} of {size // _MIB} MiB, peak / before",
                ratio=after / before,
                target="<= 1.5",
                figures=f"{after // 1024} MiB, {before // 1024} MiB before; {size / seconds / _MIB:.0f} MiB/s",
            )


def crowd(setting: Setting) -> Iterator[Row]:
    """p99 of log-metric while six clients download 1 GiB slowly and forty send their bodies slowly."""
    with (
        contenders.void(setting.place("crowd")) as upstream,
        contenders.bridge(upstream, setting.place("crowd"), workers=0) as bridge,
    ):
        runs = [f"{number:032x}" for number in range(50)]
        count = setting.amount(1500)
        begins = itertools.count(step=count)

        def p99() -> float:
            calls = metric_calls(bridge.url, runs, count, begin=next(begins))
            return ok(opened(bridge.url, calls, per_second=_OFFERED_PER_S, connections=64)).percentile(0.99)

        p99()
        _download(bridge.url, 16 * _MIB)
        alone, among = [], []
        for number in range(setting.rounds):
            setting.show_progress(f"round {number + 1} of {setting.rounds}")
            alone.append(p99())
            with _slow_clients(bridge.url):
                among.append(p99())
        p99_among, p99_alone = statistics.median(among), statistics.median(alone)
        yield Row(
            name="p99 of log-metric among 46 slow clients / without them",
            ratio=p99_among / p99_alone,
            target="<= 2",
            figures=f"{_OFFERED_PER_S}/s: {p99_among * 1e3:.2f} ms, {p99_alone * 1e3:.2f} ms",
            needs_full_run=not setting.is_full,
        )


@contextmanager
def _slow_clients(url: str) -> Iterator[None]:
    """Run six clients that download 640 KiB per second each, and forty that send one body byte every half second."""
    message = request("POST", url + LOG_METRIC, metric("0" * 32, 1))
    beginning, end = message[:-60], message[-60:]
    stop = threading.Event()
    with ExitStack() as stack:
        readers = [stack.enter_context(_connected(url, receive_buffer=65536)) for _ in range(6)]
        senders = [stack.enter_context(_connected(url)) for _ in range(40)]
        for reader in readers:
            reader.sendall(request("GET", f"{url}/mib/1024"))
        for sender in senders:
            sender.sendall(beginning)
        thread = threading.Thread(target=_trickle, args=(readers, senders, end, stop))
        thread.start()
        # The downloads are slow only after the buffers between them and their readers are full.
        time.sleep(1)
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _trickle(
    readers: Sequence[socket.socket], senders: Sequence[socket.socket], end: bytes, stop: threading.Event
) -> None:
    """Read a chunk every 100 ms, and send a byte of the end every 500 ms, until ``stop`` is set."""
    for turn in itertools.count():
        for reader in readers:
            reader.recv(65536)
        # The last byte is never sent.
        if turn % 5 == 0 and turn // 5 < len(end) - 1:
            for sender in senders:
                sender.sendall(end[turn // 5 : turn // 5 + 1])
        if stop.wait(0.1):
            return


def _download(url: str, size: int) -> None:
    with _connected(url) as connection:
        connection.sendall(request("GET", f"{url}/mib/{size // _MIB}"))
        received = 0
        while received < size:
            arrived = connection.recv(_MIB)
            assert arrived, f"the download ended after {received} of {size} bytes"
            received += len(arrived)


def _upload(url: str, size: int) -> None:
    piece = bytes(_MIB)
    target = "/api/2.0/mlflow-artifacts/artifacts/big"
    head = f"PUT {target} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Length: {size}\r\n\r\n"
    with _connected(url) as connection:
        connection.sendall(head.encode())
        for _ in range(size // _MIB):
            connection.sendall(piece)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@contextmanager
def _connected(url: str, *, receive_buffer: int = 0) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.socket() as connection:
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(120)
        connection.connect((parts.hostname, parts.port))
        yield connection


def _memory(pid: int, *, peak: bool = False) -> int:
    """Return the memory, in KiB, of the largest of this process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    field = "VmHWM:" if peak else "VmRSS:"
    return max(_status(process, field) for process in (str(pid), *children))


def _status(process: str, field: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
