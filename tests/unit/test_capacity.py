# SPDX-License-Identifier: Apache-2.0
"""The plan of a load: its formulas, at and beyond each limit."""

import dataclasses
import datetime as dt
import json

import pytest
from click.testing import CliRunner
from redis.crc import key_slot

from bridge.cli import main
from bridge.cli.capacity.costs import MEASURED, Costs
from bridge.cli.capacity.limits import api_task_writes, limits_of
from bridge.cli.capacity.partitions import equal_slots_share, placed_slots_share, slot
from bridge.cli.capacity.plan import plan
from bridge.cli.capacity.sizes import SIZES
from bridge.cli.capacity.workload import DAY_S, TURN_S, Workload
from bridge.delivery.deliverer import Timing
from bridge.outbox.intake import MAX_BATCH_WRITES
from bridge.redis_store import keys
from bridge.redis_store.keys import PARTITIONS

COSTS = Costs(
    api_accept_s=1e-3,
    store_accept_s=1e-4,
    worker_call_s=1e-3,
    store_call_s=1e-3,
    worker_write_s=1e-5,
    store_write_s=0.0,
    pending_bytes=100,
    settled_bytes=10,
    lane_bytes=1_000,
    settled_lane_bytes=0,
    dead_letter_bytes=500,
    log_accept_bytes=300,
    log_write_bytes=10,
    log_call_bytes=1_000,
)


def load(writes: float, *, runs: int = 1_000, calls: float = 25, **others: float | str) -> Workload:
    """A workload of this many writes a second, at the peak as on average."""
    found = Workload(writes_per_day=writes * DAY_S, runs=runs, calls=calls, peak_factor=1)
    return dataclasses.replace(found, **others)  # type: ignore[arg-type] # the names of any fields


def test_below_upstreams_rate_each_write_is_a_call_and_waits_for_no_other() -> None:
    found = plan(load(10), COSTS)

    assert (found.upstream_calls, found.writes_per_call) == (10, 1)
    assert found.delivery_wait_s == pytest.approx(0.106)
    assert (found.bridges, found.api_tasks, found.worker_tasks, found.store_shards) == (1, 2, 2, 1)
    assert found.first_limit is None


def test_at_upstreams_rate_a_write_waits_for_no_other_and_above_it_for_a_turn_of_all_runs() -> None:
    assert plan(load(25), COSTS).delivery_wait_s == pytest.approx(0.106)

    found = plan(load(100), COSTS)

    assert (found.upstream_calls, found.writes_per_call) == (25, 4)
    threads = found.worker_tasks * 8
    assert found.delivery_wait_s == pytest.approx(0.106 + (1_000 + threads) / 25)
    assert found.first_limit is not None
    assert found.first_limit.name == "upstream's calls, one write each"


def test_one_run_has_one_call_at_a_time() -> None:
    found = plan(load(100, runs=1), COSTS)

    assert found.upstream_calls == pytest.approx(1 / 0.106)
    assert found.writes_per_call == pytest.approx(10.6)


@pytest.mark.parametrize(
    ("others", "merged"),
    [
        ({}, 1_000),
        ({"writes_per_call": 1}, 1),
        ({"writes_per_call": 5_000}, 1_000),
        ({"write_bytes": 10_000}, 100),
        ({"write_bytes": 2_000_000}, 1),
    ],
)
def test_a_call_carries_no_more_than_mlflow_accepts(others: dict[str, int], merged: int) -> None:
    assert load(1, **others).max_merged_writes == merged


@pytest.mark.parametrize(
    ("writes", "others", "bridges"),
    [
        (4_000, {}, 1),
        (4_001, {}, 2),
        (20_000, {"upstream_writes": 1e9}, 1),
        (20_001, {"upstream_writes": 1e9}, 2),
        # Without merging, upstream's rate of calls is the limit: 0.8 of 25.
        (20, {"writes_per_call": 1}, 1),
        (41, {"writes_per_call": 1}, 3),
    ],
)
def test_an_upstream_is_used_up_to_four_fifths(writes: float, others: dict[str, float], bridges: int) -> None:
    assert plan(load(writes, runs=1_000, calls=25, **others), COSTS).bridges == bridges


def test_an_api_task_is_limited_by_its_processor_or_by_the_round_trips_of_its_batches() -> None:
    assert api_task_writes(load(1, store_trip_s=0.01), COSTS) == pytest.approx(600)
    assert api_task_writes(load(1, store_trip_s=1), COSTS) == pytest.approx(MAX_BATCH_WRITES)
    assert plan(load(1_000, store_trip_s=1), COSTS).api_tasks == 8


def test_threads_outlast_a_turn_where_upstreams_rate_is_the_limit() -> None:
    assert plan(load(4_000, calls=200, upstream_writes=1e6), COSTS).worker_tasks == 200 * TURN_S / 8 + 0.75
    assert Timing(lease=dt.timedelta(), horizon=dt.timedelta()).turn == dt.timedelta(seconds=TURN_S)


def test_the_workers_processors_are_the_limit_of_expensive_calls() -> None:
    costly = dataclasses.replace(COSTS, worker_call_s=0.3)

    assert plan(load(25), costly).worker_tasks == 26


def test_the_stores_processor_needs_shards_until_the_partitions_are_too_few() -> None:

    assert plan(load(5_000, upstream_writes=1e9, calls=1_000), COSTS).store_shards is not None
    found = plan(load(1_000_000, upstream_writes=1e9, calls=1_000), dataclasses.replace(COSTS, store_accept_s=1e-3))
    assert found.store_shards is None
    assert found.bridges == 2


def test_the_store_holds_an_outage_and_the_jobs_of_a_day() -> None:
    found = plan(load(10, outage_s=100, write_bytes=400), COSTS)

    pending, pollable = 10 * 100 * (400 + 100), 10 * DAY_S * 10 + 1_000 * 1_000
    assert found.store_memory == pytest.approx((pending + pollable) / 0.6, abs=1)
    assert found.store_log_per_day == 10 * DAY_S * (400 + 300 + 10 + 1_000)


def test_limits_are_in_order_and_the_first_is_the_lowest_that_the_peak_exceeds() -> None:
    found = plan(load(600), COSTS)

    assert [limit.writes for limit in found.limits] == sorted(limit.writes for limit in limits_of(load(600), COSTS))
    assert found.first_limit is found.limits[0]
    assert all(limit.remedy for limit in found.limits)


def test_a_partition_has_the_slot_that_a_cluster_gives_it() -> None:
    lanes = {keys.partition(f"{number:032x}"): f"{number:032x}" for number in range(200)}

    assert {number: slot(number) for number in lanes} == {
        number: key_slot(keys.writes(lane).encode()) for number, lane in lanes.items()
    }
    assert len(lanes) == PARTITIONS


def test_slots_assigned_by_hand_are_at_least_as_even_as_equal_ranges() -> None:
    assert (equal_slots_share(1), placed_slots_share(1), placed_slots_share(PARTITIONS)) == (1, 1, 1 / PARTITIONS)
    assert all(
        1 / shards <= placed_slots_share(shards) <= equal_slots_share(shards) for shards in range(1, PARTITIONS + 1)
    )


def test_more_writes_never_need_less() -> None:
    plans = [plan(load(10**power, upstream_writes=1e9, calls=100), COSTS) for power in range(5)]

    for name in ("bridges", "upstream_calls", "api_tasks", "worker_tasks", "store_memory", "store_log_per_day"):
        values = [getattr(found, name) for found in plans]
        assert values == sorted(values), name


def test_the_command_prints_the_plan_as_text_and_as_json() -> None:
    options = ["plan", "--writes-per-day", "1e8", "--runs", "1000", "--tps", "25"]

    text, document = (CliRunner().invoke(main, [*options, *others]) for others in ([], ["--json"]))

    assert (text.exit_code, document.exit_code) == (0, 0)
    expected = plan(SIZES["10^8"], MEASURED)
    assert json.loads(document.output) == {
        **json.loads(json.dumps(dataclasses.asdict(expected))),
        "first_limit": "upstream's calls, one write each",
    }
    assert f"api tasks of 1 vCPU              {expected.api_tasks}\n" in text.output
    assert "<           25  upstream's calls, one write each" in text.output


@pytest.mark.parametrize(
    "options",
    [
        *(["--writes-per-day", value, "--runs", "1", "--tps", "1"] for value in ("0", "-1", "nan", "inf", "many")),
        ["--writes-per-day", "1", "--runs", "0", "--tps", "1"],
        ["--writes-per-day", "1", "--runs", "1", "--tps", "0"],
        ["--writes-per-day", "1", "--runs", "1", "--tps", "nan"],
        ["--writes-per-day", "1", "--runs", "1", "--tps", "1", "--peak", "0.5"],
        ["--writes-per-day", "1", "--runs", "1"],
    ],
)
def test_the_command_refuses_what_is_no_load(options: list[str]) -> None:
    assert CliRunner().invoke(main, ["plan", *options]).exit_code == 2
