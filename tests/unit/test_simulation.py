# SPDX-License-Identifier: Apache-2.0
"""The simulation of lanes before a rate-limited upstream: repeatable, complete, in order."""

import pytest

from benchmarks.simulation import simulate
from bridge.cli.capacity.costs import MEASURED
from bridge.cli.capacity.plan import plan
from bridge.cli.capacity.workload import DAY_S, Workload

LOAD = Workload(writes_per_day=200 * DAY_S, runs=50, calls=20, peak_factor=1)


def test_a_seed_determines_the_outcome() -> None:
    first, second, other = (simulate(LOAD, seconds=20, warm_up_s=5, seed=seed) for seed in (1, 1, 2))

    assert first == second
    assert first != other


def test_each_write_is_delivered_once_in_the_order_of_its_lane_or_still_pending() -> None:
    found = simulate(LOAD, seconds=20, warm_up_s=0)

    assert found.arrived == found.delivered + found.pending
    assert len(found.waits) == found.delivered
    assert found.reordered == 0


def test_calls_stay_below_upstreams_rate_and_waits_below_the_formulas() -> None:
    found = simulate(LOAD, seconds=60, warm_up_s=5)

    assert found.calls <= 60 * LOAD.calls + 100
    assert sorted(found.waits)[int(0.99 * len(found.waits))] <= plan(LOAD, MEASURED).delivery_wait_s
    merged = sum(found.writes_per_call) / len(found.writes_per_call)
    assert merged == pytest.approx(plan(LOAD, MEASURED).writes_per_call, rel=0.1)


def test_a_load_beyond_full_calls_grows_without_bound() -> None:
    load = Workload(writes_per_day=200 * DAY_S, runs=50, calls=20, peak_factor=1, writes_per_call=5)

    first, second = (simulate(load, seconds=seconds, warm_up_s=0).pending for seconds in (30, 60))

    assert second > 1.5 * first
