# SPDX-License-Identifier: Apache-2.0
"""What clients see: latency, accepted writes, the cost of intake, reads."""

import itertools
import statistics
from collections.abc import Callable, Iterator

from benchmarks import contenders
from benchmarks.calls import drained, medians, metric_calls, ok
from benchmarks.generator import closed, opened, request
from benchmarks.table import Row, Setting
from tests.servers import redis_at, running


def latency(setting: Setting) -> Iterator[Row]:
    """Latency of one log-metric at the same offered load, counted from when it should have been sent."""
    with (
        contenders.mlflow(setting.place("latency")) as direct,
        contenders.naive(direct, setting.place("latency")) as naive,
        contenders.bridge(direct, setting.place("latency")) as bridge,
    ):
        runs = contenders.create_runs(direct, 20)
        count = setting.amount(1500)
        ceiling = ok(closed(direct, metric_calls(direct, runs, 400, begin=10**7), connections=8)).rate
        offered = ceiling * 0.5
        begins = itertools.count(step=count)
        percentiles: dict[tuple[str, float], list[float]] = {}
        for _ in range(setting.rounds):
            for name, url in (("direct", direct), ("naive", naive), ("bridge", bridge.url)):
                calls = metric_calls(url, runs, count, begin=next(begins))
                load = ok(opened(url, calls, per_second=offered, connections=64))
                for share in (0.5, 0.99):
                    percentiles.setdefault((name, share), []).append(load.percentile(share))
                drained(bridge)
        for share, target in ((0.5, "<= 0.2"), (0.99, "<= 0.1")):
            ours, direct_s, naive_s = (
                statistics.median(percentiles[name, share]) for name in ("bridge", "direct", "naive")
            )
            yield Row(
                name=f"latency of log-metric, p{share * 100:.0f}, bridge / direct",
                ratio=ours / direct_s,
                target=target,
                figures=f"{offered:.0f}/s: bridge {ours * 1e3:.2f} ms, direct {direct_s * 1e3:.2f} ms,"
                f" naive {naive_s * 1e3:.2f} ms",
            )


def accepted(setting: Setting) -> Iterator[Row]:
    """Single writes accepted a second, each contender at its best concurrency, workers of the bridge stopped."""
    with (
        contenders.mlflow(setting.place("accepted")) as direct,
        contenders.naive(direct, setting.place("accepted")) as naive,
        contenders.bridge(direct, setting.place("accepted"), workers=0) as bridge,
    ):
        runs = contenders.create_runs(direct, 50)
        begins = itertools.count(step=100_000)

        def best(url: str, count: int) -> Callable[[int], float]:
            def measure(_: int) -> float:
                loads = [
                    ok(closed(url, metric_calls(url, runs, count, begin=next(begins)), connections=connections))
                    for connections in (4, 16)
                ]
                return max(load.rate for load in loads)

            return measure

        found = medians(
            setting.rounds,
            {
                "direct": best(direct, setting.amount(600)),
                "naive": best(naive, setting.amount(400)),
                "bridge": best(bridge.url, setting.amount(12_000)),
            },
        )
        figures = ", ".join(f"{name} {rate:.0f}/s" for name, rate in found.items())
        yield Row(
            name="single writes accepted, bridge / direct",
            ratio=found["bridge"] / found["direct"],
            target=">= 10",
            figures=figures,
        )


def floor(setting: Setting) -> Iterator[Row]:
    """Intake of one log-metric against the least that a Flask route and a bare WSGI callable can do."""
    store, store_url = redis_at(setting.place("floor") / "floor-store")
    environ = {"BENCH_STORE_URL": store_url}
    with (
        running(store),
        contenders.wsgi("benchmarks.floor:flask_app", setting.place("floor") / "flask", environ) as flask_url,
        contenders.wsgi("benchmarks.floor:bare_app", setting.place("floor") / "bare", environ) as bare_url,
        contenders.bridge("http://127.0.0.1:9", setting.place("floor"), workers=0) as bridge,
    ):
        runs = [f"{number:032x}" for number in range(50)]
        count = setting.amount(12_000)

        def rate(url: str) -> Callable[[int], float]:
            return lambda number: (
                ok(closed(url, metric_calls(url, runs, count, begin=number * count), connections=16)).rate
            )

        found = medians(setting.rounds, {"bridge": rate(bridge.url), "flask": rate(flask_url), "bare": rate(bare_url)})
        figures = ", ".join(f"{name} {each:.0f}/s" for name, each in found.items())
        for other, target in (("flask", ">= 1.5"), ("bare", ">= 0.7")):
            yield Row(
                name=f"intake of log-metric, bridge / {other} floor",
                ratio=found["bridge"] / found[other],
                target=target,
                figures=figures,
            )


def proxy(setting: Setting) -> Iterator[Row]:
    """Reads through the bridge and through the naive proxy. What answers them does nothing else."""
    with (
        contenders.void(setting.place("proxy")) as upstream,
        contenders.naive(upstream, setting.place("proxy")) as naive,
        contenders.bridge(upstream, setting.place("proxy"), workers=0) as bridge,
    ):
        count = setting.amount(3000)

        def rate(url: str) -> Callable[[int], float]:
            call = request("GET", f"{url}/api/2.0/mlflow/runs/get?run_id={'0' * 32}")
            return lambda _: ok(closed(url, [call] * count, connections=8)).rate

        found = medians(setting.rounds, {"naive": rate(naive), "bridge": rate(bridge.url)})
        yield Row(
            name="reads proxied, bridge / naive",
            ratio=found["bridge"] / found["naive"],
            target=">= 2",
            figures=", ".join(f"{name} {each:.0f}/s" for name, each in found.items()),
        )
