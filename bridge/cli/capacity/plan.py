# SPDX-License-Identifier: Apache-2.0
"""The formulas: from a load and the measured costs to processes, shards, bytes and the limit that is reached first.

All rates are per second. The plan is for the peak: the daily average times the workload's peak factor.
"""

import math
from dataclasses import dataclass

from bridge.cli.capacity.costs import Costs
from bridge.cli.capacity.limits import Limit, api_task_writes, limits_of, store_cpus
from bridge.cli.capacity.partitions import equal_slots_share, placed_slots_share
from bridge.cli.capacity.workload import (
    DAY_S,
    MAX_CPU_SHARE,
    MAX_MEMORY_SHARE,
    MAX_UPSTREAM_SHARE,
    TURN_S,
    WORKER_TASK_CPUS,
    Workload,
)
from bridge.redis_store.keys import PARTITIONS

#: One in each of two availability zones.
_MIN_TASKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The resources that a workload needs. A bridge has one upstream, so several upstreams are as many bridges."""

    average_writes: float
    peak_writes: float
    #: Upstreams, each with a bridge of its own. The following figures are for one of these bridges.
    bridges: int
    upstream_calls: float
    writes_per_call: float
    #: The longest time from acceptance to delivery at the peak while nothing fails.
    delivery_wait_s: float
    api_tasks: int
    worker_tasks: int
    store_shards: int | None
    #: Whether the partitions' slots must be assigned by hand for this number of shards.
    places_slots: bool
    store_memory: int
    store_log_per_day: int
    #: From the lowest to the highest, for the smallest deployment: one upstream, one api task, one shard.
    limits: tuple[Limit, ...]

    @property
    def first_limit(self) -> Limit | None:
        """The lowest limit that the peak exceeds in the smallest deployment; None if it exceeds none."""
        return next((limit for limit in self.limits if limit.writes < self.peak_writes), None)


def plan(load: Workload, costs: Costs) -> Plan:
    """Return the resources that this workload needs."""
    bridges = _bridges(load)
    peak, runs = load.peak_writes / bridges, load.runs / bridges
    calls = min(peak, load.possible_calls(runs))
    workers = _worker_tasks(load, costs, peak, calls)
    shards, places_slots = _shards(store_cpus(peak, calls, costs))
    return Plan(
        average_writes=load.average_writes,
        peak_writes=load.peak_writes,
        bridges=bridges,
        upstream_calls=calls,
        writes_per_call=peak / calls,
        delivery_wait_s=_delivery_wait_s(load, runs, peak, workers * load.worker_concurrency),
        api_tasks=max(_MIN_TASKS, math.ceil(peak / api_task_writes(load, costs))),
        worker_tasks=workers,
        store_shards=shards,
        places_slots=places_slots,
        store_memory=_store_memory(load, costs, bridges),
        store_log_per_day=_store_log(load, costs, bridges),
        limits=limits_of(load, costs),
    )


def _bridges(load: Workload) -> int:
    usable = MAX_UPSTREAM_SHARE * min(load.calls * load.max_merged_writes, load.upstream_writes)
    return max(1, math.ceil(load.peak_writes / usable))


def _delivery_wait_s(load: Workload, runs: float, writes: float, threads: int) -> float:
    """Return the longest time from acceptance to settlement while nothing fails.

    If upstream's rate is the limit, each run gets one call per ``runs / calls`` seconds. A write that just misses a
    call waits for the next one, and each call waits for its permit behind those of the other threads.
    """
    calls = load.possible_calls(runs)
    if writes <= calls:
        return load.delivery_s
    return load.delivery_s + (runs + min(threads, runs)) / calls


def _worker_tasks(load: Workload, costs: Costs, writes: float, calls: float) -> int:
    # With fewer threads, a permit arrives before the turn of a lane ends. Its next call then carries few writes.
    threads = calls * max(load.delivery_s / MAX_UPSTREAM_SHARE, TURN_S if calls < writes else 0)
    cpus = calls * costs.worker_call_s + writes * costs.worker_write_s
    return max(
        _MIN_TASKS,
        math.ceil(threads / load.worker_concurrency),
        math.ceil(cpus / (WORKER_TASK_CPUS * MAX_CPU_SHARE)),
    )


def _shards(cpus: float) -> tuple[int | None, bool]:
    """Return the number of shards, and whether their slots must be assigned by hand. None: no number is enough."""
    for shards in range(1, PARTITIONS + 1):
        for share, places_slots in ((equal_slots_share(shards), False), (placed_slots_share(shards), True)):
            if cpus * share <= MAX_CPU_SHARE:
                return shards, places_slots
    return None, True


def _store_memory(load: Workload, costs: Costs, bridges: int) -> int:
    """Return the bytes of an outage's backlog at the average rate, and of the jobs of one day that stay pollable."""
    pending = load.average_writes * load.outage_s * (load.write_bytes + costs.pending_bytes)
    pollable = _calls_per_day(load, bridges) * costs.settled_bytes + load.runs * costs.lane_bytes
    return math.ceil((pending + pollable) / bridges / MAX_MEMORY_SHARE)


def _store_log(load: Workload, costs: Costs, bridges: int) -> int:
    writes = load.writes_per_day * (load.write_bytes + costs.log_accept_bytes + costs.log_write_bytes)
    return math.ceil((writes + _calls_per_day(load, bridges) * costs.log_call_bytes) / bridges)


def _calls_per_day(load: Workload, bridges: int) -> float:
    return min(load.average_writes, load.possible_calls(load.runs / bridges) * bridges) * DAY_S
