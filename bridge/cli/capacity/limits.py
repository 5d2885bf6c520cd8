# SPDX-License-Identifier: Apache-2.0
"""The limits of the smallest deployment, each with the remedy for a peak that reaches it."""

from dataclasses import dataclass

from bridge.cli.capacity.costs import Costs
from bridge.cli.capacity.partitions import equal_slots_share
from bridge.cli.capacity.workload import MAX_CPU_SHARE, MAX_UPSTREAM_SHARE, Workload
from bridge.outbox.intake import MAX_BATCH_WRITES
from bridge.redis_store.keys import PARTITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The highest rate of one part of the system."""

    name: str
    #: Writes a second.
    writes: float
    remedy: str


def limits_of(load: Workload, costs: Costs) -> tuple[Limit, ...]:
    """Return all limits, from the lowest to the highest."""
    limits = (*_upstream_limits(load), *_api_limits(load, costs), *_store_limits(load, costs))
    return tuple(sorted(limits, key=lambda limit: limit.writes))


def _upstream_limits(load: Workload) -> tuple[Limit, ...]:
    return (
        # At this rate merging begins and nothing queues up, so no share of it is kept free.
        Limit(
            name="upstream's calls, one write each",
            writes=load.calls,
            remedy="none: the writes of a run are merged, and each run waits for its turn",
        ),
        Limit(
            name="upstream's calls, merged",
            writes=MAX_UPSTREAM_SHARE * load.calls * load.max_merged_writes,
            remedy="a larger tracking server, then a second one with a bridge of its own",
        ),
        Limit(
            name="these runs, one call at a time each, merged",
            writes=MAX_UPSTREAM_SHARE * load.runs / load.delivery_s * load.max_merged_writes,
            remedy="none: spread the writes over more runs",
        ),
        Limit(
            name="writes that upstream stores",
            writes=MAX_UPSTREAM_SHARE * load.upstream_writes,
            remedy="a larger tracking server, then a second one with a bridge of its own",
        ),
    )


def _api_limits(load: Workload, costs: Costs) -> tuple[Limit, ...]:
    return (
        Limit(
            name="one api task: round trips to the store, with its sync",
            writes=MAX_BATCH_WRITES / load.store_trip_s,
            remedy="more api tasks; log-batch, which is one write for many metrics",
        ),
        Limit(
            name="one api task: its processor",
            writes=MAX_CPU_SHARE / costs.api_accept_s,
            remedy="more api tasks; many writes a request (POST /v1/writes, log-batch)",
        ),
    )


def _store_limits(load: Workload, costs: Costs) -> tuple[Limit, ...]:
    shard_writes = store_shard_writes(load, costs)
    # With the best number of shards.
    busiest_share = min(equal_slots_share(shards) for shards in range(1, PARTITIONS + 1))
    return (
        Limit(name="one store shard: its processor", writes=shard_writes, remedy="more shards"),
        Limit(
            name=f"all shards: {PARTITIONS} partitions in equal ranges of slots",
            writes=shard_writes / busiest_share,
            remedy="assign the partitions' slots to shards by hand, then a bridge with a store of its own",
        ),
        Limit(
            name=f"all shards: {PARTITIONS} partitions, one on each of {PARTITIONS} shards",
            writes=shard_writes * PARTITIONS,
            remedy="a second bridge with a store of its own",
        ),
    )


def api_task_writes(load: Workload, costs: Costs) -> float:
    """Return the writes a second that one api task accepts, by its processor and by the store's round trips."""
    return min(MAX_CPU_SHARE / costs.api_accept_s, MAX_BATCH_WRITES / load.store_trip_s)


def store_shard_writes(load: Workload, costs: Costs) -> float:
    """Return the writes a second of one shard, with calls that are as full as MLflow permits."""
    return MAX_CPU_SHARE / store_cpus(1, 1 / load.max_merged_writes, costs)


def store_cpus(writes: float, calls: float, costs: Costs) -> float:
    """Return the processors that the store uses for these rates."""
    return writes * (costs.store_accept_s + costs.store_write_s) + calls * costs.store_call_s
