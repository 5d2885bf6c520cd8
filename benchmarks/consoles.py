# SPDX-License-Identifier: Apache-2.0
"""Consoles: the latency of writes while consoles of operators poll."""

import itertools
import multiprocessing
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

import requests

from benchmarks import contenders
from benchmarks.calls import metric_calls, ok
from benchmarks.generator import opened, request
from benchmarks.table import Row, Setting
from tests.servers import wait_until

_CONSOLES = 10
#: What the overview polls, and how often, as `console/src/operations/live/useLiveQuery.ts` has it.
_POLLS = (("/v1/overview", 2), ("/v1/series?minutes=60", 5))
#: The polls of all consoles in one second.
_POLLS_OF_A_SECOND = [path for path, period_s in _POLLS for _ in range(_CONSOLES // period_s)]
_WRITES_PER_S, _CONNECTIONS = 200, 16


def consoles(setting: Setting) -> Iterator[Row]:
    """p99 of log-metric while ten open consoles poll the overview, and without them."""
    with (
        contenders.void(setting.place("consoles")) as upstream,
        contenders.bridge(upstream, setting.place("consoles"), workers=1) as bridge,
    ):
        runs = [f"{number:032x}" for number in range(50)]
        count = setting.amount(2_000, least=1_000)
        begins = itertools.count(step=count)
        # Half of what open consoles send meanwhile.
        min_polls = len(_POLLS_OF_A_SECOND) * count / _WRITES_PER_S / 2

        def p99() -> float:
            calls = metric_calls(bridge.url, runs, count, begin=next(begins))
            load = ok(opened(bridge.url, calls, per_second=_WRITES_PER_S, connections=_CONNECTIONS))
            return load.percentile(0.99)

        p99()
        alone, beside, polls = [], [], 0
        # Many rounds, so that a stall of the machine in one of them does not decide.
        rounds = 1 if setting.smoke else 3 * setting.rounds
        for number in range(rounds):
            setting.show_progress(f"round {number + 1} of {rounds}")
            alone.append(p99())
            with _open_consoles(bridge.url) as sent:
                beside.append(p99())
                assert sent.value >= min_polls, f"only {sent.value} polls were sent"
                polls += sent.value
        ratios = sorted(one / other for one, other in zip(beside, alone, strict=True))
        yield Row(
            name="p99 of log-metric, beside ten open consoles / alone",
            ratio=statistics.median(ratios),
            target="<= 1.1",
            figures=f"{_WRITES_PER_S}/s: {statistics.median(beside) * 1e3:.2f} ms, "
            f"{statistics.median(alone) * 1e3:.2f} ms; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}; {polls} polls",
            needs_full_run=not setting.is_full,
        )


@contextmanager
def _open_consoles(url: str) -> Iterator["Synchronized[int]"]:
    """Poll as open consoles do, in a process of its own. Yields the number of polls."""
    for path, _ in _POLLS:
        requests.get(url + path, timeout=30).raise_for_status()
    spawning = multiprocessing.get_context("spawn")
    sent = spawning.Value("q", 0)
    process = spawning.Process(target=poll_forever, args=(url, sent))
    process.start()
    try:
        wait_until(lambda: sent.value > 0)
        yield sent
    finally:
        process.terminate()
        process.join()


def poll_forever(url: str, sent: "Synchronized[int]") -> None:
    """Poll at the rate of all consoles, and count the polls."""

    def counted() -> Iterator[bytes]:
        for path in itertools.cycle(_POLLS_OF_A_SECOND):
            yield request("GET", url + path)
            sent.value += 1

    opened(url, counted(), per_second=len(_POLLS_OF_A_SECOND), connections=_CONSOLES)
