# SPDX-License-Identifier: Apache-2.0
"""CPU time and bytes per write, lane and dead letter: the constants of `bridge.cli.capacity.costs`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, drained, metric, metric_calls, ok
from benchmarks.cpu import server_cpu_s, store_cpu_s
from benchmarks.generator import closed, request
from benchmarks.table import Row, Setting
from bridge.redis_store import keys

_ROOMY = dict.fromkeys(("BRIDGE_MAX_STORE", "BRIDGE_MAX_PENDING_CLIENT", "BRIDGE_MAX_PENDING_RUN"), "64GiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usage:
    """CPU seconds of each part since it began, and the store's bytes in memory and in its log."""

    api_s: float
    worker_s: float
    store_s: float
    memory: int
    log: int

    def since(self, earlier: "_Usage", count: int) -> "_Usage":
        """Return what was used since, per piece of this count; CPU times in microseconds."""
        return _Usage(
            api_s=(self.api_s - earlier.api_s) / count * 1e6,
            worker_s=(self.worker_s - earlier.worker_s) / count * 1e6,
            store_s=(self.store_s - earlier.store_s) / count * 1e6,
            memory=round((self.memory - earlier.memory) / count),
            log=round((self.log - earlier.log) / count),
        )


def costs(setting: Setting) -> Iterator[Row]:
    """CPU time and bytes per write that is accepted, delivered or dead, and per lane."""
    place = setting.place("costs")
    with contenders.void(place) as upstream, contenders.bridge(upstream, place, settings=_ROOMY) as bridge:
        ok(closed(bridge.url, metric_calls(bridge.url, _runs(0, 100), setting.amount(2_000)), connections=16))
        drained(bridge)
        yield from _write_rows(setting, bridge)
        yield from _lane_rows(setting, bridge)
        yield _settled_call_row(setting, bridge)
    place = setting.place("refused")
    with contenders.void(place, refuses=True) as upstream, contenders.bridge(upstream, place) as bridge:
        yield _dead_letter_row(setting, bridge)


def _write_rows(setting: Setting, bridge: contenders.Bridge) -> Iterator[Row]:
    count = setting.amount(20_000)
    accepted, delivered = _used(bridge, _runs(0, 100), count)
    own_bytes = len(metric("0" * 32, 1000))
    yield _row("us of the api's CPU per accepted write", accepted.api_s)
    yield _row("us of the store's CPU per accepted write", accepted.store_s)
    yield _row("bytes of the store's log per accepted write beyond its own", accepted.log - own_bytes)
    yield _row("bytes of memory per pending write beyond its own", accepted.memory - own_bytes)
    yield _row("us of a worker's CPU per write in a full call", delivered.worker_s)
    yield _row("us of the store's CPU per write in a full call", delivered.store_s)
    yield _row("bytes of the store's log per write in a full call", delivered.log)


def _lane_rows(setting: Setting, bridge: contenders.Bridge) -> Iterator[Row]:
    count, own_bytes = setting.amount(2_000), len(metric("0" * 32, 1000))
    before = _usage(bridge)
    accepted, delivered = _used(bridge, _runs(1_000, count), count)
    kept = _usage(bridge).since(before, count)
    yield _row("bytes of memory per lane with one pending write beyond the write's own", accepted.memory - own_bytes)
    yield _row("us of a worker's CPU per call of one write", delivered.worker_s)
    yield _row("us of the store's CPU per call of one write", delivered.store_s)
    yield _row("bytes of the store's log per call of one write", delivered.log)
    yield _row("bytes of memory per lane while its delivered jobs stay pollable", kept.memory)


def _settled_call_row(setting: Setting, bridge: contenders.Bridge) -> Row:
    """Deliver writes one by one to one run, so that each is a call with a record."""
    run_id, prefer = f"{99_999:032x}", {"Prefer": "wait=10"}
    calls = [
        request("POST", bridge.url + LOG_METRIC, metric(run_id, step), prefer) for step in range(setting.amount(300))
    ]
    ok(closed(bridge.url, calls, connections=1))
    client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
    records = keys.settled(run_id)
    size = client.memory_usage(records, samples=0) / client.llen(records)
    client.close()
    return _row("bytes of memory per record of a settled call", size)


def _dead_letter_row(setting: Setting, bridge: contenders.Bridge) -> Row:
    # Fewer would be lost among the buffers that the store frees meanwhile.
    count, runs = setting.amount(500, least=500), _runs(0, 10)
    own_bytes = len(metric("0" * 32, 1000))
    ok(closed(bridge.url, metric_calls(bridge.url, runs, len(runs)), connections=16))
    drained(bridge)
    before = _usage(bridge)
    ok(closed(bridge.url, metric_calls(bridge.url, runs, count), connections=16))
    drained(bridge)
    return _row(
        "bytes of memory per dead letter beyond its write's own",
        _usage(bridge).since(before, count).memory - own_bytes,
    )


def _used(bridge: contenders.Bridge, runs: list[str], count: int) -> tuple[_Usage, _Usage]:
    """Accept and then deliver this number of writes; return what each of the two phases used per write."""
    before = _usage(bridge)
    with bridge.workers[0].frozen():
        ok(closed(bridge.url, metric_calls(bridge.url, runs, count), connections=16))
        pending = _usage(bridge)
    drained(bridge)
    return pending.since(before, count), _usage(bridge).since(pending, count)


def _usage(bridge: contenders.Bridge) -> _Usage:
    client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
    # A rewrite would shorten the log in the middle of a measurement.
    client.config_set("auto-aof-rewrite-percentage", 0)
    found = client.info()
    client.close()
    return _Usage(
        api_s=server_cpu_s(bridge.api),
        worker_s=sum(map(server_cpu_s, bridge.workers)),
        store_s=store_cpu_s(bridge),
        memory=found["used_memory"],
        log=found["aof_current_size"],
    )


def _runs(begin: int, count: int) -> list[str]:
    return [f"{number:032x}" for number in range(begin, begin + count)]


def _row(name: str, value: float) -> Row:
    return Row(name=name, ratio=value, target="", figures="")
