# SPDX-License-Identifier: Apache-2.0
"""A discrete-event simulation of many lanes in front of a rate-limited upstream, beside the formulas of `plan`."""

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks.table import Row, Setting
from bridge.cli.capacity.costs import MEASURED
from bridge.cli.capacity.partitions import equal_slots_share, placed_slots_share, slot
from bridge.cli.capacity.plan import plan
from bridge.cli.capacity.sizes import SIZES
from bridge.cli.capacity.workload import DAY_S, TURN_S, Workload
from bridge.redis_store.keys import PARTITIONS, partition

_SEED = 18
#: The limiter's burst: BRIDGE_UPSTREAM_BURST.
_BURST = 50


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a simulation has observed after its warm-up."""

    #: Time from the arrival to the settlement of each write, in seconds.
    waits: list[float] = field(default_factory=list)
    writes_per_call: list[int] = field(default_factory=list)
    calls: int = 0
    arrived: int = 0
    delivered: int = 0
    pending: int = 0
    #: Writes that were settled before an earlier one of their lane.
    reordered: int = 0


def simulation(setting: Setting) -> Iterator[Row]:
    """Simulated lanes before a rate-limited upstream, beside the formulas of `mlflow-bridge plan`."""
    for name in ("10^6", "10^8", "10^9"):
        load = _one_bridge(SIZES[name])
        expected = plan(load, MEASURED)
        cycle_s = expected.delivery_wait_s
        found = simulate(
            load, seconds=max(1.0, setting.scale * max(100, 4 * cycle_s)), warm_up_s=setting.scale * cycle_s
        )
        merged = sum(found.writes_per_call) / max(1, len(found.writes_per_call))
        longest = _percentile(found.waits, 0.99)
        figures = (
            f"{len(found.waits)} writes, {found.calls} calls; {merged:.1f}, formula {expected.writes_per_call:.1f}"
        )
        yield Row(
            name=f"writes in a call, {name} a day: simulated / formula",
            ratio=merged / expected.writes_per_call,
            target="<= 1.1",
            figures=figures,
        )
        yield Row(
            name=f"p99 of the wait, {name} a day: simulated / longest by formula",
            ratio=longest / expected.delivery_wait_s,
            target="<= 1.1",
            figures=f"p50 {_percentile(found.waits, 0.5):.1f} s, p99 {longest:.1f} s, longest {cycle_s:.1f} s",
        )
    yield _full_calls(setting)
    yield from _partitions(setting)


def _one_bridge(load: Workload) -> Workload:
    """Return the part of a workload that one of its bridges has."""
    bridges = plan(load, MEASURED).bridges
    return replace(load, writes_per_day=load.writes_per_day / bridges, runs=load.runs // bridges)


def _full_calls(setting: Setting) -> Row:
    """Return the backlog at four fifths of what full calls carry: it must not grow beyond the writes of one cycle."""
    load = Workload(writes_per_day=0.8 * 5 * 200 * DAY_S / 3, runs=50, calls=5, writes_per_call=200)
    found = simulate(load, seconds=max(1.0, 200 * setting.scale), warm_up_s=0)
    cycle = load.peak_writes * plan(load, MEASURED).delivery_wait_s
    return Row(
        name="backlog / writes of one cycle, at 0.8 of full calls",
        ratio=found.pending / cycle,
        target="<= 1.1",
        figures=f"{found.delivered} of {found.arrived} delivered in {found.calls} calls; {found.reordered} reordered",
    )


def _partitions(setting: Setting) -> Iterator[Row]:
    """Hash the ids of the largest size's runs to partitions and shards."""
    chance, count = random.Random(_SEED), setting.amount(10_000, least=1_000)  # noqa: S311 - a simulation
    lanes = Counter(partition(f"{chance.getrandbits(128):032x}") for _ in range(count))
    yield Row(
        name=f"busiest partition / mean, {count} runs in {PARTITIONS} partitions",
        ratio=max(lanes.values()) * PARTITIONS / count,
        target="<= 1.15",
        figures=f"{min(lanes.values())} to {max(lanes.values())} runs",
    )
    for shards in (4, 8, 16):
        load = Counter[int]()
        for number, runs in lanes.items():
            load[slot(number) * shards // 16384] += runs
        yield Row(
            name=f"busiest of {shards} shards, simulated / formula, equal ranges of slots",
            ratio=max(load.values()) / count / equal_slots_share(shards),
            target="<= 1.15",
            figures=f"{max(load.values()) / count:.0%}; slots by hand {placed_slots_share(shards):.0%}",
        )


def simulate(load: Workload, *, seconds: float, warm_up_s: float, seed: int = _SEED) -> Outcome:
    """Run the peak of a workload for this time, with the threads of the planned workers."""
    workers = plan(load, MEASURED).worker_tasks
    run = _Run(load, threads=workers * load.worker_concurrency, warm_up_s=warm_up_s, seed=seed)
    run.go(seconds)
    return run.outcome


class _Run:
    """The lanes, the threads, the limiter and the clock of a simulation."""

    def __init__(self, load: Workload, *, threads: int, warm_up_s: float, seed: int) -> None:
        self.outcome = Outcome()
        self._load = load
        self._idle_threads = threads
        self._warm_up_s = warm_up_s
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        self._writes: list[deque[float]] = [deque() for _ in range(load.runs)]
        #: Lanes that a thread delivers or that wait for one: each is there once, as dispatch and lease ensure.
        self._busy = [False] * load.runs
        self._last_settled = [0.0] * load.runs
        self._due: deque[int] = deque()
        #: When the bucket is full again: the generic cell rate algorithm, as acquire.lua has it.
        self._full_at_s = 0.0
        #: Ends of calls: time, order, lane, writes in the call, begin of the turn.
        self._ends: list[tuple[float, int, int, int, float]] = []

    def go(self, seconds: float) -> None:
        """Let writes arrive for this time, each in a random lane."""
        now = self._chance.expovariate(self._load.peak_writes)
        while now < seconds:
            while self._ends and self._ends[0][0] <= now:
                self._settle(*heapq.heappop(self._ends))
            lane = self._chance.randrange(self._load.runs)
            self._writes[lane].append(now)
            self.outcome.arrived += 1
            self._offer(lane, now)
            now += self._chance.expovariate(self._load.peak_writes)
        self.outcome.pending = sum(map(len, self._writes))

    def _offer(self, lane: int, now: float) -> None:
        if not self._busy[lane]:
            self._busy[lane] = True
            self._due.append(lane)
            self._claim_next(now)

    def _claim_next(self, now: float) -> None:
        while self._idle_threads and self._due:
            self._idle_threads -= 1
            self._send(self._due.popleft(), now, turn_began=now)

    def _send(self, lane: int, now: float, *, turn_began: float) -> None:
        """Form a call of what is pending now; writes that arrive while it waits for its permit join the next one."""
        count = min(len(self._writes[lane]), self._load.max_merged_writes)
        interval_s = 1 / self._load.calls
        full_at_s = max(self._full_at_s, now)
        permitted_at_s = max(now, full_at_s - (_BURST - 1) * interval_s)
        self._full_at_s = full_at_s + interval_s
        self.outcome.calls += 1
        end = permitted_at_s + self._load.delivery_s
        heapq.heappush(self._ends, (end, self.outcome.calls, lane, count, turn_began))

    def _settle(self, now: float, _: int, lane: int, count: int, turn_began: float) -> None:
        for _write in range(count):
            arrived = self._writes[lane].popleft()
            self.outcome.reordered += arrived < self._last_settled[lane]
            self._last_settled[lane] = arrived
            if arrived >= self._warm_up_s:
                self.outcome.waits.append(now - arrived)
        if now >= self._warm_up_s:
            self.outcome.writes_per_call.append(count)
        self.outcome.delivered += count
        if self._writes[lane] and now - turn_began < TURN_S:
            self._send(lane, now, turn_began=turn_began)
            return
        self._idle_threads += 1
        self._busy[lane] = False
        if self._writes[lane]:
            self._offer(lane, now)
        self._claim_next(now)


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0
