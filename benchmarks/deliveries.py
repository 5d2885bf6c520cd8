# SPDX-License-Identifier: Apache-2.0
"""Delivery rates: against MLflow's own ceiling, and to a throttled or slow upstream."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks import contenders
from benchmarks.calls import LOG_BATCH, batch, drained, medians, metric_calls, ok
from benchmarks.generator import closed, request
from benchmarks.table import Row, Setting
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer, Commit, Wait

#: Calls per second that a limited upstream takes.
_LIMIT_PER_S = 25


def delivered(setting: Setting) -> Iterator[Row]:
    """Single metrics per second, from the first request until the last value is readable in MLflow."""
    with (
        contenders.mlflow(setting, "delivered") as direct,
        contenders.naive(direct, setting.place("delivered")) as naive,
        contenders.bridge(direct, setting.place("delivered")) as bridge,
    ):

        def rate(url: str, count: int) -> Callable[[int], float]:
            def measure(_: int) -> float:
                runs = contenders.create_runs(direct, 20)
                began = time.perf_counter()
                ok(closed(url, metric_calls(url, runs, count), connections=16))
                drained(bridge)
                seconds = time.perf_counter() - began
                assert sum(contenders.stored(direct, run_id) for run_id in runs) == count
                return count / seconds

            return measure

        found = medians(
            setting,
            {
                "naive": rate(naive, setting.amount(600, least=200)),
                "bridge": rate(bridge.url, setting.amount(20_000, least=8_000)),
            },
            warm_up=True,
        )
        yield Row(
            name="single metrics delivered, bridge / naive",
            ratio=found["bridge"] / found["naive"],
            target=">= 20",
            figures=", ".join(f"{name} {each:.0f}/s" for name, each in found.items()),
        )


def drain(setting: Setting) -> Iterator[Row]:
    """A standing backlog of single metrics against MLflow's own ceiling, full batches from a direct client."""
    run_count, batch_size = 10, setting.amount(1000, least=1000)
    writes_per_run = setting.amount(4, least=2) * batch_size
    total = run_count * writes_per_run
    with (
        contenders.mlflow(setting, "drain") as direct,
        contenders.bridge(direct, setting.place("drain")) as bridge,
    ):

        def direct_rate(_: int) -> float:
            runs = contenders.create_runs(direct, run_count)
            batches = [
                request("POST", direct + LOG_BATCH, batch(run_id, begin, count=batch_size))
                for begin in range(0, writes_per_run, batch_size)
                for run_id in runs
            ]
            return total / ok(closed(direct, batches, connections=4)).seconds

        def bridge_rate(_: int) -> float:
            runs = contenders.create_runs(direct, run_count)
            with bridge.workers[0].frozen():
                calls = metric_calls(bridge.url, runs, total)
                ok(closed(bridge.url, calls, connections=16))
                began = time.perf_counter()
            drained(bridge)
            seconds = time.perf_counter() - began
            assert sum(contenders.stored(direct, run_id) for run_id in runs) == total
            return total / seconds

        found = medians(setting, {"direct": direct_rate, "bridge": bridge_rate}, warm_up=True)
        yield Row(
            name="draining a backlog, bridge / direct log-batch of 1000",
            ratio=found["bridge"] / found["direct"],
            target=">= 0.85",
            figures=", ".join(f"{name} {rate:.0f} metrics/s" for name, rate in found.items()),
        )


class Limited:
    """Forwards a number of calls per second, as SageMaker does, and answers 429 to the others."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:  # noqa: ARG002 - part of Fault
        """Forward the call if it is within the limit."""
        now = time.monotonic()
        if now < self._next - self._interval:
            return Answer(429, {"Retry-After": "1"}, b'{"message":"Rate exceeded"}')
        self._next = max(now, self._next) + self._interval
        return commit()


def limited(setting: Setting) -> Iterator[Row]:
    """A burst over 100 runs with upstream limited to 25 calls per second, against the least possible time."""
    run_count, writes_per_run = setting.amount(100, least=100), setting.amount(10) * 100
    total = run_count * writes_per_run
    with contenders.mlflow(setting, "limited") as direct, SignatureFront(direct, check=None) as front:
        settings = {"BRIDGE_UPSTREAM_RATE": str(_LIMIT_PER_S), "BRIDGE_UPSTREAM_BURST": "1"}
        with contenders.bridge(front.url, setting.place("limited"), settings=settings) as bridge:
            runs = contenders.create_runs(direct, run_count)
            # MLflow itself may be the limit, so the same calls are sent to it directly.
            batches = [
                request("POST", direct + LOG_BATCH, batch(run_id, 10**6, count=writes_per_run)) for run_id in runs
            ]
            mlflow_seconds = ok(closed(direct, batches, connections=4)).seconds
            front.set_fault(Limited(_LIMIT_PER_S))
            with bridge.workers[0].frozen():
                ok(closed(bridge.url, metric_calls(bridge.url, runs, total), connections=16))
                began = time.perf_counter()
            drained(bridge)
            seconds = time.perf_counter() - began
            assert sum(contenders.stored(direct, run_id) for run_id in runs) == 2 * total
            least = max(run_count / _LIMIT_PER_S, mlflow_seconds)
            calls = sum("/runs/log-" in call.path for call in front.calls)
            yield Row(
                name="backlog over 100 runs at 25 calls/s, time / least time",
                ratio=seconds / least,
                target="<= 1.3",
                figures=f"{total} metrics in {seconds:.1f} s and {calls} calls; least {least:.1f} s"
                f" (calls {run_count / _LIMIT_PER_S:.1f} s, MLflow itself {mlflow_seconds:.1f} s)",
                # One throttled call slows the following ones, which dominates a run of a few seconds.
                needs_full_run=not setting.is_full,
            )


def slow(setting: Setting) -> Iterator[Row]:
    """Parallel delivery of lanes: upstream responds 100 ms late, one worker process has eight threads."""
    writes_per_run = setting.amount(10) * 10
    with (
        contenders.void(setting.place("slow"), delay=0.1) as upstream,
        contenders.bridge(upstream, setting.place("slow")) as bridge,
    ):
        runs = [f"{number:032x}" for number in range(setting.amount(200, least=200))]
        with bridge.workers[0].frozen():
            ok(closed(bridge.url, metric_calls(bridge.url, runs, len(runs) * writes_per_run), connections=16))
            began = time.perf_counter()
        drained(bridge)
        seconds = time.perf_counter() - began
        least = math.ceil(len(runs) / 8) * 0.1
        yield Row(
            name="backlog over 200 runs, upstream 100 ms late, time / least time",
            ratio=seconds / least,
            target="<= 1.3",
            figures=f"{seconds:.2f} s; least {least:.2f} s at a concurrency of 8",
        )


def two_workers(setting: Setting) -> Iterator[Row]:
    """A backlog over 200 runs, drained by two worker processes and by one; upstream is not the limit."""
    runs = [f"{number:032x}" for number in range(200)]
    count = setting.amount(40_000, least=20_000)
    with (
        contenders.void(setting.place("workers")) as upstream,
        contenders.bridge(upstream, setting.place("workers"), workers=2) as bridge,
    ):

        def rate(workers: int) -> Callable[[int], float]:
            def measure(_: int) -> float:
                with ExitStack() as stack:
                    for worker in bridge.workers[workers:]:
                        stack.enter_context(worker.frozen())
                    with ExitStack() as filling:
                        for worker in bridge.workers[:workers]:
                            filling.enter_context(worker.frozen())
                        ok(closed(bridge.url, metric_calls(bridge.url, runs, count), connections=16))
                        began = time.perf_counter()
                    drained(bridge)
                    return count / (time.perf_counter() - began)

            return measure

        found = medians(setting, {"one": rate(1), "two": rate(2)}, warm_up=True)
        yield Row(
            name="draining, two worker processes / one",
            ratio=found["two"] / found["one"],
            target=">= 1.7",
            figures=", ".join(f"{name} {each:.0f} writes/s" for name, each in found.items()),
        )
