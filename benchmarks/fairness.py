# SPDX-License-Identifier: Apache-2.0
"""Fairness: the effect on one client of another that sends far more than its quota."""

import datetime as dt
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.sharedctypes import Synchronized

import requests

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, key_for, metric
from benchmarks.generator import opened, request
from benchmarks.table import Row, Setting
from bridge.dispatch import queue_of
from schemas.client import Client, Quota

#: Requests per second of the watched client, the quota of the greedy client, and the multiple that it sends.
_WATCHED_PER_S, _QUOTA_PER_S, _GREED_FACTOR = 50, 20, 50
#: Connections of the greedy client: those of a batch job, and enough to send each request on time.
_GREEDY_CONNECTIONS = {"16 connections": 16, "400 connections": 400}
#: The response time of upstream.
_UPSTREAM_DELAY_S = 0.02


@dataclass(slots=True)
class _Measurements:
    """Measurements of the watched client in seconds, one per round."""

    accept: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    #: Requests per second of the greedy client that were sent meanwhile.
    beside: list[float] = field(default_factory=list)
    #: Writes that were refused, because the disk of the store stood still for seconds.
    refused: int = 0


def fair(setting: Setting) -> Iterator[Row]:
    """Accept and delivery times of a client, alone and beside one that sends fifty times its quota."""
    assert queue_of("watched") != queue_of("greedy")
    seen = {"alone": _Measurements(), **{name: _Measurements() for name in _GREEDY_CONNECTIONS}}
    with (
        contenders.void(setting.place("fair"), delay=_UPSTREAM_DELAY_S) as upstream,
        contenders.bridge(upstream, setting.place("bridge"), workers=2, settings={"BRIDGE_AUTH": "keys"}) as bridge,
    ):
        watched = key_for(bridge, Client(name="watched"))
        greedy = key_for(bridge, Client(name="greedy", quota=Quota(requests=_QUOTA_PER_S)))
        # Wait for the end of the first burst: the steady state is measured.
        burst = setting.amount(3, least=3)
        # Many short rounds, so that a stall of the machine in one of them does not decide.
        rounds, seconds = 1 if setting.smoke else 2 * setting.rounds + 1, setting.amount(8, least=5)
        for number in range(rounds):
            setting.show_progress(f"round {number + 1} of {rounds}")
            _watch(bridge.url, watched, seconds, seen["alone"])
            for name, connections in _GREEDY_CONNECTIONS.items():
                with _greedy_client(bridge.url, greedy, seconds + 4, connections, burst) as sent:
                    began, before = time.perf_counter(), sent.value
                    _watch(bridge.url, watched, seconds, seen[name])
                    seen[name].beside.append((sent.value - before) / (time.perf_counter() - began))
    for name in _GREEDY_CONNECTIONS:
        beside = f"beside 50 times a quota on {name} / alone"
        through = f"{statistics.median(seen[name].beside):.0f} of {_QUOTA_PER_S * _GREED_FACTOR} requests a second sent"
        if refused := seen[name].refused + seen["alone"].refused:
            through += f"; {refused} writes refused with 503"
        p99 = _row(f"p99 of log-metric, {beside}", seen[name].accept, seen["alone"].accept, through, target="<= 1.3")
        yield replace(p99, needs_full_run=not setting.is_full)
        yield _row(f"accept to settled, {beside}", seen[name].lag, seen["alone"].lag, through, target="<= 1.5")


def _row(name: str, beside: list[float], alone: list[float], through: str, *, target: str) -> Row:
    ratios = sorted(one / other for one, other in zip(beside, alone, strict=True))
    medians = (f"{statistics.median(each) * 1000:.1f} ms" for each in (beside, alone))
    return Row(
        name=name,
        ratio=statistics.median(ratios),
        target=target,
        figures=f"{', '.join(medians)}; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}; {through}",
    )


def _watch(url: str, key: str, seconds: int, seen: _Measurements) -> None:
    """Log at a fixed rate, and measure the delivery of some writes."""
    headers = {"Authorization": f"Bearer {key}"}
    runs = [f"{number:032x}" for number in range(20)]
    calls = [
        request("POST", url + LOG_METRIC, metric(runs[n % 20], n), headers) for n in range(_WATCHED_PER_S * seconds)
    ]
    load = opened(url, calls, per_second=_WATCHED_PER_S, connections=8)
    assert set(load.statuses) <= {200, 503}, load.statuses
    seen.accept.append(load.percentile(0.99))
    seen.refused += load.statuses[503]
    with requests.Session() as http:
        http.headers.update(headers | {"Prefer": "wait=10"})
        bodies = (metric(f"{step % 7:031x}f", step) for step in range(seconds * 5))
        seen.lag.append(statistics.median(accept_to_settled(http, url, body) for body in bodies))


def accept_to_settled(http: requests.Session, url: str, body: bytes) -> float:
    """Log one value and return the seconds from accept to settled."""
    answer = http.post(url + LOG_METRIC, body, headers={"Content-Type": "application/json"}, timeout=30)
    job = http.get(f"{url}/v1/jobs/{answer.headers['Job-Id']}", timeout=30).json()
    accepted, settled = (dt.datetime.fromisoformat(job[name]) for name in ("accepted_at", "settled_at"))
    return (settled - accepted).total_seconds()


@contextmanager
def _greedy_client(url: str, key: str, seconds: int, connections: int, burst: int) -> Iterator["Synchronized[int]"]:
    """Run a client in a process of its own that sends far more than its quota, each write to a run of its own.

    Yields the number of sent requests, after the first burst of the given seconds.
    """
    spawning = multiprocessing.get_context("spawn")
    sent = spawning.Value("q", 0)
    process = spawning.Process(target=send_greedily, args=(url, key, seconds * 2, connections, sent))
    process.start()
    time.sleep(burst)
    try:
        yield sent
    finally:
        process.terminate()
        process.join()


def send_greedily(url: str, key: str, seconds: int, connections: int, sent: "Synchronized[int]") -> None:
    """Send fifty times the quota for at most this number of seconds, and count the requests."""
    headers = {"Authorization": f"Bearer {key}"}
    calls = [
        request("POST", url + LOG_METRIC, metric(f"{n:032x}", n), headers)
        for n in range(_QUOTA_PER_S * _GREED_FACTOR * seconds)
    ]

    def counted() -> Iterator[bytes]:
        for call in calls:
            sent.value += 1
            yield call

    opened(url, counted(), per_second=_QUOTA_PER_S * _GREED_FACTOR, connections=connections)
