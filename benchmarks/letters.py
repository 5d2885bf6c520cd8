# SPDX-License-Identifier: Apache-2.0
"""The time of lists and counts of dead letters, beside a burst of writes."""

import datetime as dt
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
import requests

from benchmarks import contenders
from benchmarks.calls import metric_calls
from benchmarks.generator import opened
from benchmarks.table import Row, Setting
from bridge.redis_store import keys
from bridge.redis_store.records import DeadLetter, pack, pack_write
from schemas.bodies.batchable import capture
from schemas.job import UpstreamAnswer
from schemas.write import Op

_PATH = "/v1/dead-letters"
_LETTERS, _LANES = 100_000, 1_000
_TARGET_MS = 300
#: Writes a second of the burst, a fifth of what the api can accept on a machine with two cores.
_BURST_RATE, _BURST_CONNECTIONS = 300, 16
#: Causes of the letters: reason, error code, message.
_CAUSES = (
    ("refused", "INVALID_PARAMETER_VALUE", "Changing param values is not allowed. Value '{}' was logged for run '{}'"),
    ("denied", "PERMISSION_DENIED", "User is not authorized to perform LogMetric on run {1}: request {0}"),
    ("expired", None, "last attempt {0}: upstream responds 503"),
)


def letters(setting: Setting) -> Iterator[Row]:
    """Server time of pages, summary and count of 100,000 dead letters, beside a burst of writes."""
    count, rounds = setting.amount(_LETTERS, least=_LETTERS), 1 if setting.smoke else 7 * setting.rounds
    place = setting.place("letters")
    with contenders.bridge("http://127.0.0.1:9", place, workers=0, settings={"BRIDGE_MAX_STORE": "8GiB"}) as bridge:
        client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
        _store_dead_letters(client, count)
        with requests.Session() as http:
            cursor = http.get(f"{bridge.url}{_PATH}?limit=100", timeout=30).json()["next"] or ""
            for name, ask in _questions(http, bridge.url, cursor).items():
                # The first answer of a process may read what the later ones remember: it is a figure of its own.
                first = _milliseconds(ask)
                with _burst(bridge.url):
                    times = [_milliseconds(ask) for _ in range(rounds)]
                yield Row(
                    name=f"{name} of {_LETTERS} dead letters, beside {_BURST_RATE} writes/s, ms",
                    ratio=statistics.median(times),
                    target=f"<= {_TARGET_MS}",
                    figures=f"{min(times):.0f} to {max(times):.0f} ms; the first, without a burst, {first:.0f} ms",
                )


def _questions(http: requests.Session, url: str, cursor: str) -> dict[str, Callable[[], object]]:
    def get(query: str) -> Callable[[], object]:
        return lambda: http.get(f"{url}{_PATH}{query}", timeout=60).raise_for_status()

    def count(**wanted: str) -> Callable[[], object]:
        body: dict[str, Any] = {"filter": wanted, "dry_run": True}
        return lambda: http.post(f"{url}{_PATH}/replay", json=body, timeout=60).raise_for_status()

    def summary(second: int) -> None:
        get(f"/summary?since=2026-01-01T00:00:{second % 60:02}Z")()

    second = iter(range(1_000_000))
    return {
        "first page": get("?limit=100"),
        "next page": get(f"?limit=100&cursor={cursor}") if cursor else get("?limit=100"),
        "newest first": get("?limit=100&order=newest"),
        "newest of one cause": get("?limit=100&order=newest&op=log-metric&error_code=PERMISSION_DENIED"),
        # Another filter each time: a summary is kept for two seconds.
        "summary": lambda: summary(next(second)),
        "count": count(reason="refused"),
        "count of one cause": count(error_code="PERMISSION_DENIED"),
    }


def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


@contextmanager
def _burst(url: str) -> Iterator[None]:
    """Send writes at a fixed rate for as long as the block runs."""
    runs, stop = [f"{number:032x}" for number in range(50)], threading.Event()
    calls = metric_calls(url, runs, 1_000)
    endless = itertools.takewhile(lambda _: not stop.is_set(), itertools.cycle(calls))
    sender = threading.Thread(
        target=lambda: opened(url, endless, per_second=_BURST_RATE, connections=_BURST_CONNECTIONS)
    )
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def _store_dead_letters(client: Any, count: int) -> None:  # noqa: ANN401 - redis-py's results have no use as types
    """Store dead letters of several causes over many lanes, as the settle script does."""
    now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        lane, position = f"{number % _LANES:032x}", number // _LANES + 1
        reason, code, message = _CAUSES[number % len(_CAUSES)]
        body = b'{"run_id":"%s","key":"loss","value":0.5,"step":%d,"timestamp":1}' % (lane.encode(), number)
        write = capture(Op.LOG_METRIC, body, now=now)
        stamp, name = b"%013d" % (round(now.timestamp() * 1000) + number), f"client-{number % 7}"
        text = message.format(number, lane)
        answer = UpstreamAnswer(status=400, error_code=code, message=text) if code else None
        letter = DeadLetter(reason, text, 1, answer, stamp + b"acceptid" + pack_write(write, name))
        partition = keys.partition(lane)
        pipeline.hset(keys.dead(partition), keys.dead_field(lane, position), stamp + pack(letter))
        line = stamp + keys.index_line(lane, position, reason, name).encode()
        pipeline.zadd(keys.letters(partition), {line: 0})
        if number % 1000 == 0:
            pipeline.execute()
    pipeline.execute()
