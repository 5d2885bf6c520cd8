# SPDX-License-Identifier: Apache-2.0
"""Merging the head of a lane into one call: order, limits, and what must never share a call."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.delivery.batching import next_call
from bridge.upstream import Call
from bridge.upstream.mlflow_calls import single_call
from schemas.bodies.batchable import capture
from schemas.job import Job
from schemas.write import Op, Write
from tests.factories import NOW, RUN, job, metric, param, tag
from tests.unit.mlflow_reading import Reading, mlflow_reads, what_is_held

PREFIX = "/api/2.0/mlflow/runs/"
#: The longest body that merging may make.
MOST_BYTES = 1_000_000


def batch(*, run_id: str = RUN, workspace: str | None = None, **lists: Any) -> Write:
    return capture(Op.LOG_BATCH, json.dumps({"run_id": run_id, **lists}).encode(), now=NOW, workspace=workspace)


def metrics(count: int) -> Write:
    return batch(metrics=[{"key": "m", "value": step, "timestamp": 1, "step": step} for step in range(count)])


def params(count: int, *, first: int = 0) -> Write:
    return batch(params=[{"key": f"p{number}", "value": "v"} for number in range(first, first + count)])


def tags(count: int) -> Write:
    return batch(tags=[{"key": f"t{number}", "value": "v"} for number in range(count)])


def jobs(*writes: Write) -> list[Job]:
    return [job(write, position) for position, write in enumerate(writes, 1)]


def calls(queue: Sequence[Job]) -> list[tuple[Call, int]]:
    """All calls that deliver these jobs."""
    made = []
    while queue:
        call, count = next_call(queue)
        made.append((call, count))
        queue = queue[count:]
    return made


def counts(*writes: Write) -> list[int]:
    """How many writes each of the calls carries that deliver them."""
    return [count for _, count in calls(jobs(*writes))]


def read(call: Call) -> Reading:
    return mlflow_reads(Op(call.path.removeprefix(PREFIX)), call.body)


@pytest.mark.parametrize(
    ("write", "body"),
    [
        (metric(3, key="loss"), '"key":"loss","value":3.0,"timestamp":1,"step":3'),
        (metric(0), '"key":"m","value":0.0,"timestamp":1'),
        (param("lr", "0.1"), '"key":"lr","value":"0.1"'),
        (tag("owner", "été"), '"key":"owner","value":"été"'),
        (params(2), '"params":[{"key":"p0","value":"v"},{"key":"p1","value":"v"}]'),
        (batch(tags=[{"key": "t"}], metrics=[]), '"tags":[{"key":"t","value":""}]'),
    ],
)
def test_a_lone_write_goes_to_its_own_endpoint_in_its_own_form(write: Write, body: str) -> None:
    call, count = next_call(jobs(write))

    assert count == 1
    assert call == Call(path=PREFIX + write.op, body=f'{{"run_id":"{RUN}",{body}}}'.encode())
    assert call == single_call(write)


def test_an_empty_batch_is_sent_as_one_that_names_its_run() -> None:
    call, _ = next_call(jobs(batch()))

    assert call == Call(path=PREFIX + "log-batch", body=f'{{"run_id":"{RUN}"}}'.encode())


def test_single_writes_of_all_kinds_are_merged_into_one_batch_in_order() -> None:
    queue = jobs(metric(1), param("b", "1"), tag("t", "old"), metric(2), param("a", "2"), tag("t", "new"))

    call, count = next_call(queue)

    assert (call.path, count) == (PREFIX + "log-batch", 6)
    assert json.loads(call.body) == {
        "run_id": RUN,
        "metrics": [
            {"key": "m", "value": 1.0, "timestamp": 1, "step": 1},
            {"key": "m", "value": 2.0, "timestamp": 1, "step": 2},
        ],
        "params": [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}],
        "tags": [{"key": "t", "value": "old"}, {"key": "t", "value": "new"}],
    }


def test_batches_and_single_writes_are_merged_and_an_empty_one_leaves_no_trace() -> None:
    call, count = next_call(jobs(batch(), metrics(2), batch(), metric(9), batch()))

    assert count == 5
    assert [(name, step) for name, _, _, step, *_ in read(call).metrics] == [("m", "0"), ("m", "1"), ("m", "9")]
    assert json.loads(call.body).keys() == {"run_id", "metrics"}


def test_only_empty_batches_become_one_empty_batch() -> None:
    assert next_call(jobs(batch(), batch())) == (single_call(batch()), 2)


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([metric(step) for step in range(1000)], [1000]),
        ([metric(step) for step in range(1001)], [1000, 1]),
        ([metrics(999), metric(1), metric(2)], [2, 1]),
        ([metrics(999), metrics(2), metric(3)], [1, 2]),
        ([params(99), param("x", "1")], [2]),
        ([params(100), param("x", "1")], [1, 1]),
        ([params(60), params(41, first=60)], [1, 1]),
        ([tags(99), tag("x", "1")], [2]),
        ([tags(100), tag("x", "1"), tag("y", "1")], [1, 2]),
        ([metrics(800), params(100), tags(100)], [3]),
        ([metrics(801), params(100), tags(100)], [2, 1]),
        ([metrics(1000), tag("t", "v")], [1, 1]),
        ([metrics(999), tag("t", "v"), param("p", "v")], [2, 1]),
    ],
)
def test_no_merged_call_exceeds_mlflows_limits_and_none_is_smaller_than_they_allow(
    writes: list[Write], expected: list[int]
) -> None:
    assert counts(*writes) == expected


def test_no_merged_call_is_longer_than_a_million_bytes_and_none_much_shorter() -> None:
    queue = jobs(*(tag(f"t{number % 50}", "é" * 7000) for number in range(150)))

    made = calls(queue)

    assert sum(count for _, count in made) == 150
    assert all(len(call.body) <= MOST_BYTES for call, _ in made)
    assert all(len(call.body) > MOST_BYTES - 15_000 for call, _ in made[:-1])


def test_a_write_that_is_longer_by_itself_goes_alone() -> None:
    giant = batch(tags=[{"key": f"t{number}", "value": "é" * 8000} for number in range(100)])

    made = calls(jobs(metric(1), giant, metric(2), metric(3)))

    assert [count for _, count in made] == [1, 1, 2]
    assert len(made[1][0].body) > MOST_BYTES


def test_a_param_that_is_written_again_with_the_same_value_is_sent_once() -> None:
    again = batch(params=[{"key": "b", "value": "2"}, {"key": "a", "value": "1"}, {"key": "c", "value": "3"}])

    call, count = next_call(jobs(param("a", "1"), param("a", "1"), again, param("b", "2")))

    assert count == 4
    assert read(call).params == (("a", "1"), ("b", "2"), ("c", "3"))


def test_a_param_whose_every_name_is_known_already_adds_no_list_of_nothing() -> None:
    call, count = next_call(jobs(param("a", "1"), param("a", "1")))

    assert count == 2
    assert json.loads(call.body) == {"run_id": RUN, "params": [{"key": "a", "value": "1"}]}


def test_another_value_for_a_param_begins_the_next_call() -> None:
    made = calls(jobs(metric(1), param("a", "1"), param("a", "2"), metric(2), param("a", "1")))

    assert [count for _, count in made] == [2, 2, 1]
    assert [read(call).params for call, _ in made] == [(("a", "1"),), (("a", "2"),), (("a", "1"),)]


def test_params_are_told_apart_by_every_character_of_their_name() -> None:
    assert counts(param("Key", "1"), param("key", "2"), param("key ", "3")) == [3]


@pytest.mark.parametrize("other", [None, "b", "", "A"])
def test_writes_of_two_workspaces_never_share_a_call(other: str | None) -> None:
    def write(workspace: str | None) -> Write:
        return batch(tags=[{"key": "t", "value": "v"}], workspace=workspace)

    made = calls(jobs(write("a"), write("a"), write(other), write("a")))

    assert [(call.workspace, count) for call, count in made] == [("a", 2), (other, 1), ("a", 1)]


def test_writes_of_two_runs_never_share_a_call() -> None:
    assert counts(metric(1), metric(2, run_id="other"), metric(3)) == [1, 1, 1]


@pytest.mark.parametrize(("at_most", "expected"), [(None, 5), (100, 5), (5, 5), (4, 4), (2, 2), (1, 1)])
def test_at_most_bounds_how_many_writes_are_merged(at_most: int | None, expected: int) -> None:
    queue = jobs(*(metric(step) for step in range(5)))

    call, count = next_call(queue, at_most=at_most)

    assert count == expected
    assert (call, count) == next_call(queue[:expected])


def test_at_most_one_sends_a_write_in_its_own_form() -> None:
    call, count = next_call(jobs(param("a", "1"), metric(1)), at_most=1)

    assert (call.path, count) == (PREFIX + "log-parameter", 1)


def test_a_run_id_of_any_script_reaches_upstream_as_it_is() -> None:
    run_id = "run-été"

    call, _ = next_call(jobs(metric(1, run_id=run_id), metric(2, run_id=run_id)))

    assert read(call).run_id == run_id


def _any_write(dice: random.Random) -> Write:
    kind = dice.randrange(4)
    if kind == 0:
        value = dice.choice(["NaN", "-Infinity", "0.1", "1e300", "-0.0"])
        return metric(dice.randrange(100), key=dice.choice("ab"), value=value, model_id=dice.choice(["m", None]))
    if kind == 1:
        return param(dice.choice("abcd"), dice.choice("12"))
    if kind == 2:
        return tag(dice.choice("ab"), "".join(dice.choices('é"\\\n\u0000日\U0001f600', k=5)))
    names = dice.sample("abcdefgh", k=dice.randrange(4))
    return batch(
        metrics=[{"key": "m", "value": dice.random(), "timestamp": 1} for _ in range(dice.choice([0, 1, 300]))],
        params=[{"key": name, "value": dice.choice("12")} for name in names],
        tags=[{"key": name, "value": "v"} for name in names[1:]],
    )


@pytest.mark.parametrize("seed", range(25))
def test_any_lane_is_delivered_whole_in_order_and_by_the_same_bytes_each_time(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    queue = jobs(*(_any_write(dice) for _ in range(60)))

    made = calls(queue)

    assert made == calls(list(queue))
    done = 0
    for call, count in made:
        sent, kept = read(call), [what_is_held(job.write) for job in queue[done : done + count]]
        assert sent.metrics == tuple(one for part in kept for one in part.metrics)
        assert sent.tags == tuple(one for part in kept for one in part.tags)
        # The first of equal params stays where it stood; none is left out, none has two values.
        assert sent.params == tuple(dict.fromkeys(one for part in kept for one in part.params))
        assert len(dict(sent.params)) == len(sent.params)
        done += count
    assert done == len(queue)
