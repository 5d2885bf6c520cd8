# SPDX-License-Identifier: Apache-2.0
"""What the store spends, and whether it slows down as it fills."""

from collections.abc import Iterator
from typing import Any

import redis

from benchmarks import contenders
from benchmarks.calls import drained, metric, metric_calls, ok
from benchmarks.generator import closed
from benchmarks.table import Row, Setting


def store(setting: Setting) -> Iterator[Row]:
    """What the store spends on a pending write, on a delivered job, and how many commands."""
    own = len(metric("0" * 32, 1000))
    with (
        contenders.void(setting.place("store")) as upstream,
        contenders.bridge(upstream, setting.place("store")) as bridge,
    ):
        client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
        runs, count = [f"{number:032x}" for number in range(100)], setting.amount(50_000)
        with bridge.workers[0].frozen():
            ok(closed(bridge.url, metric_calls(bridge.url, runs, 500), connections=16))
            empty, began = client.info("memory")["used_memory"], _scripts(client)
            ok(closed(bridge.url, metric_calls(bridge.url, runs, count, begin=500), connections=16))
            full, accepts = client.info("memory")["used_memory"], _scripts(client) - began
        began = _scripts(client)
        drained(bridge)
        after, settles = client.info("memory")["used_memory"], _scripts(client) - began
        pending, kept = (full - empty) / count, max(0.0, (after - empty) / count)
        yield Row(
            name="store bytes per pending metric beyond its own bytes",
            ratio=pending - own,
            target="<= 120",
            figures=f"{pending:.0f} bytes, {own} of them the request's",
        )
        yield Row(
            name="store bytes per delivered job while it stays pollable",
            ratio=kept,
            target="<= 40",
            figures=f"{count} jobs: {(after - empty) / 1024:.0f} KiB",
        )
        yield Row(name="script calls per accepted write", ratio=accepts / count, target="<= 1.01", figures="")
        yield Row(
            name="script calls per delivered write",
            ratio=settles / count,
            target="<= 0.1",
            figures="sweeps of idle partitions included",
        )


def _scripts(client: Any) -> int:  # noqa: ANN401 - redis-py's results have no use as types
    stats = client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def growth(setting: Setting) -> Iterator[Row]:
    """Time of the accept script as the backlog and the number of lanes grow."""
    with contenders.bridge("http://127.0.0.1:9", setting.place("growth"), workers=0) as bridge:
        client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
        few, many = [f"{number:032x}" for number in range(10)], setting.amount(100_000)
        probe = setting.amount(5_000)

        def cost(runs: list[str]) -> float:
            client.config_resetstat()
            ok(closed(bridge.url, metric_calls(bridge.url, runs, probe), connections=16))
            return float(client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])

        cost(few)
        small = cost(few)
        ok(closed(bridge.url, metric_calls(bridge.url, few, setting.amount(100_000)), connections=16))
        deep = cost(few)
        lanes = [f"{number:032x}" for number in range(100, 100 + many)]
        ok(closed(bridge.url, metric_calls(bridge.url, lanes, many), connections=16))
        wide = cost(lanes[:1000])
        yield Row(
            name="accept script, deep backlog / empty",
            ratio=deep / small,
            target="<= 1.2",
            figures=f"{deep:.1f} us with {setting.amount(100_000)} pending, {small:.1f} us with few",
        )
        yield Row(
            name="accept script, many lanes / few",
            ratio=wide / small,
            target="<= 1.2",
            figures=f"{wide:.1f} us with {many} lanes, {small:.1f} us with 10",
        )
