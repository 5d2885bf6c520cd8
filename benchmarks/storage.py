# SPDX-License-Identifier: Apache-2.0
"""Cost of the store: bytes and commands per write, and script times as it fills."""

import statistics
from collections.abc import Iterator
from typing import Any

import redis

from benchmarks import contenders
from benchmarks.calls import drained, metric, metric_calls, ok
from benchmarks.generator import closed
from benchmarks.table import Row, Setting
from bridge.redis_store import keys


def store(setting: Setting) -> Iterator[Row]:
    """Bytes per pending write and per delivered job, and script calls per write."""
    own, place = len(metric("0" * 32, 1000)), setting.place("store")
    with contenders.void(place) as upstream, contenders.bridge(upstream, place) as bridge:
        client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
        runs, count = [f"{number:032x}" for number in range(100)], setting.amount(50_000)
        first = setting.amount(500, least=500)
        with bridge.workers[0].frozen():
            ok(closed(bridge.url, metric_calls(bridge.url, runs, first), connections=16))
            empty, began = client.info("memory")["used_memory"], _scripts(client)
            ok(closed(bridge.url, metric_calls(bridge.url, runs, count, begin=first), connections=16))
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
            # The fixed bytes of a lane dominate when it holds few jobs.
            needs_full_run=not setting.is_full,
        )
        yield Row(name="script calls per accepted write", ratio=accepts / count, target="<= 1.01", figures="")
        yield Row(
            name="script calls per delivered write",
            ratio=settles / count,
            target="<= 0.1",
            figures="sweeps of idle partitions included",
            needs_full_run=not setting.is_full,
        )


def _scripts(client: Any) -> int:  # noqa: ANN401 - redis-py's results have no use as types
    stats = client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def growth(setting: Setting) -> Iterator[Row]:
    """Time of the accept script as the backlog and the number of lanes grow."""
    settings = dict.fromkeys(("BRIDGE_MAX_STORE", "BRIDGE_MAX_PENDING_CLIENT", "BRIDGE_MAX_PENDING_RUN"), "64GiB")
    with contenders.bridge("http://127.0.0.1:9", setting.place("growth"), workers=0, settings=settings) as bridge:
        client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
        # No rewrite of the append-only file during the measurement.
        client.config_set("auto-aof-rewrite-percentage", 0)
        few, thousand = ([f"{number:032x}" for number in range(10)], [f"{number:032x}" for number in range(10, 1010)])
        many = setting.amount(100_000)
        deep, probe = setting.amount(5_000_000), setting.amount(5_000, least=2_000)

        def cost(runs: list[str]) -> float:
            return _script_time(client, bridge.url, runs, probe)

        for runs in (few, thousand):
            cost(runs)
        small, hot = cost(thousand), cost(few)
        setting.show_progress(f"{many} lanes")
        lanes = [f"{number:032x}" for number in range(2000, 2000 + many)]
        ok(closed(bridge.url, metric_calls(bridge.url, lanes, many), connections=16))
        wide, still_hot = cost(thousand), cost(few)
        setting.show_progress(f"{deep} pending writes")
        for run in few:
            _deepen(client, run, deep // len(few))
        full = cost(few)
        yield Row(
            name="accept script, in 1000 lanes, among many lanes / among no others",
            ratio=wide / small,
            target="<= 1.2",
            figures=f"{wide:.1f} us among {many} lanes, {small:.1f} us alone; 10 lanes: {still_hot:.1f}, {hot:.1f} us",
        )
        yield Row(
            name="accept script, in 10 lanes, deep backlog / empty",
            ratio=full / hot,
            target="<= 1.2",
            figures=f"{full:.1f} us with {deep} pending, {hot:.1f} us with few",
            needs_full_run=not setting.is_full,
        )


def _script_time(client: Any, url: str, runs: list[str], count: int) -> float:  # noqa: ANN401
    """Return the median of three times of the accept script in these lanes, in microseconds."""
    found = []
    for _ in range(3):
        client.config_resetstat()
        ok(closed(url, metric_calls(url, runs, count), connections=16))
        found.append(float(client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]))
    return statistics.median(found)


def _deepen(client: Any, lane: str, count: int) -> None:  # noqa: ANN401
    """Add copies of an accepted write to a lane."""
    writes = keys.writes(lane)
    [entry] = client.lrange(writes, -1, -1)
    for _ in range(count // 1000):
        client.rpush(writes, *[entry] * 1000)
    client.hincrby(keys.lane_state(lane), "accepted", count // 1000 * 1000)
    client.hincrby(keys.lane_state(lane), "bytes", count // 1000 * 1000 * len(entry))
    client.hincrby(keys.held(keys.partition(lane)), "bytes", count // 1000 * 1000 * len(entry))
