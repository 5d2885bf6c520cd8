# SPDX-License-Identifier: Apache-2.0
"""Upstream that fails on one write by itself, and calls that may have arrived already."""

import datetime as dt
import json
from collections.abc import Callable

import pytest

from bridge.events import WritesDeadLettered
from bridge.upstream import Call, Delivered, Outcome, Refused, Unavailable, Unknown
from schemas.bodies.batchable import capture
from schemas.job import JobStatus
from schemas.write import Op
from tests.factories import NOW, RUN, metric, param, tag
from tests.unit.lanes import Lane, steps

VERDICT = Refused(status=500, error_code="INTERNAL_ERROR", message="it broke")
BROKE = Unavailable(reason="status 500", status=500, final_refusal=VERDICT)


def deliver_until_settled(lane: Lane, *, turns: int = 100) -> int:
    """Take turns until nothing is pending; how many it took."""
    for turn in range(turns):
        if not lane.outbox.lane_backlog(RUN).pending:
            return turn
        lane.expire_lease()
        lane.deliver()
    return turns


def breaks_on(*guilty: int) -> Callable[[Call], Outcome]:
    def answer(call: Call) -> Outcome:
        return BROKE if steps(call).intersection(guilty) else Delivered(status=200)

    return answer


@pytest.mark.parametrize(("count", "guilty"), [(1, (0,)), (2, (1,)), (100, (0,)), (100, (70,)), (100, (10, 11, 99))])
def test_a_write_on_which_upstream_fails_each_time_is_buried_alone(count: int, guilty: tuple[int, ...]) -> None:
    lane = Lane(*(metric(step) for step in range(count)))
    lane.flow_control.others_get_through = True
    lane.upstream.answer = breaks_on(*guilty)

    turns = deliver_until_settled(lane)

    expected = [JobStatus.DEAD if step in guilty else JobStatus.DELIVERED for step in range(count)]
    assert lane.statuses() == expected
    assert [(event.reason, event.status) for event in lane.events.of(WritesDeadLettered)] == [("refused", 500)] * len(
        guilty
    )
    # A few attempts for each halving, and a few alone.
    assert turns <= 25 * len(guilty)


def test_while_nothing_gets_through_a_500_is_nobodys_fault() -> None:
    lane = Lane(*(metric(step) for step in range(10)))
    lane.upstream.answer = lambda _: BROKE

    deliver_until_settled(lane, turns=30)
    waiting = lane.statuses()
    lane.upstream.answer = lambda _: Delivered(status=200)
    deliver_until_settled(lane)

    assert waiting == [JobStatus.PENDING] * 10
    assert lane.statuses() == [JobStatus.DELIVERED] * 10


def test_a_gateways_error_is_never_the_writes_fault() -> None:
    lane = Lane(metric(0))
    lane.flow_control.others_get_through = True
    lane.upstream.answer = lambda _: Unavailable(reason="status 503", status=503)

    deliver_until_settled(lane, turns=30)

    assert lane.statuses() == [JobStatus.PENDING]


def test_a_server_that_is_back_is_given_full_batches_again() -> None:
    lane = Lane(*(metric(step) for step in range(400)))
    lane.upstream.answer = lambda _: BROKE
    deliver_until_settled(lane, turns=8)
    lane.upstream.answer = lambda _: Delivered(status=200)
    before = len(lane.upstream.calls)

    deliver_until_settled(lane)

    sizes = [len(steps(call)) for call in lane.upstream.calls[before:]]
    assert sum(sizes) == 400
    assert sizes == sorted(sizes)
    assert len(sizes) < 12


def batch(keys: int, *, nan: bool = False) -> bytes:
    metrics: list[dict[str, object]] = [
        {"key": f"k{number}", "value": number, "timestamp": 1} for number in range(keys)
    ]
    if nan:
        metrics.insert(1, {"key": "n", "value": "NaN", "timestamp": 1})
    return json.dumps({"run_id": RUN, "metrics": metrics, "params": [{"key": "p", "value": "v"}]}).encode()


def metrics_of(call: Call) -> list[str]:
    body = json.loads(call.body)
    return [each["key"] for each in body.get("metrics", [])]


def test_what_may_have_arrived_is_repeated_in_calls_of_at_most_100_keys() -> None:
    lane = Lane(capture(Op.LOG_BATCH, batch(250), now=NOW), tag("t", "v"))
    lane.upstream.answer = lambda _: Unknown(reason="no answer")
    lane.deliver()
    lane.expire_lease()
    lane.upstream.answer = lambda _: Delivered(status=200)

    lane.deliver()

    first, *repeats = lane.upstream.calls
    assert len(metrics_of(first)) == 250
    assert [len(metrics_of(call)) for call in repeats] == [100, 100, 50]
    assert [name for call in repeats for name in metrics_of(call)] == metrics_of(first)
    whole = json.loads(first.body)
    assert json.loads(repeats[0].body) | {"metrics": []} == whole | {"metrics": []}
    assert all(set(json.loads(call.body)) == {"run_id", "metrics"} for call in repeats[1:])
    assert lane.statuses() == [JobStatus.DELIVERED] * 2


@pytest.mark.parametrize("single", [False, True], ids=["many writes", "one batch"])
def test_calls_for_which_upstream_needs_too_long_get_smaller_until_it_answers_in_time(*, single: bool) -> None:
    """Upstream commits each time, but answers in time only for up to 100 metrics."""
    writes = [capture(Op.LOG_BATCH, one_key(600), now=NOW)] if single else [metric(step) for step in range(600)]
    lane = Lane(*writes)

    def answer(call: Call) -> Outcome:
        return Unknown(reason="ReadTimeout") if len(metrics_of(call)) > 100 else Delivered(status=200)

    lane.upstream.answer = answer
    turns = deliver_until_settled(lane)

    assert set(lane.statuses()) == {JobStatus.DELIVERED}
    assert turns < 30


def one_key(values: int) -> bytes:
    metrics = [{"key": "k", "value": n, "timestamp": 1, "step": n} for n in range(values)]
    return json.dumps({"run_id": RUN, "metrics": metrics}).encode()


def test_an_outage_of_timeouts_does_not_leave_a_lane_crawling() -> None:
    lane = Lane(*(metric(step) for step in range(1000)))
    lane.upstream.answer = lambda _: Unknown(reason="ReadTimeout")
    deliver_until_settled(lane, turns=60)
    lane.upstream.answer = lambda _: Delivered(status=200)
    before = len(lane.upstream.calls)

    deliver_until_settled(lane)

    assert set(lane.statuses()) == {JobStatus.DELIVERED}
    assert len(lane.upstream.calls) - before < 20


def test_in_a_run_of_which_upstream_refuses_all_each_write_costs_about_one_call() -> None:
    lane = Lane(*(metric(step) for step in range(300)))
    lane.upstream.answer = lambda _: Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message="no run")

    lane.deliver()

    assert lane.statuses() == [JobStatus.DEAD] * 300
    assert len(lane.upstream.calls) < 330


def test_values_that_are_not_numbers_are_repeated_apart() -> None:
    lane = Lane(capture(Op.LOG_BATCH, batch(3, nan=True), now=NOW))
    lane.upstream.answer = lambda _: Unknown(reason="no answer")
    lane.deliver()
    lane.expire_lease()
    lane.upstream.answer = lambda _: Delivered(status=200)

    lane.deliver()

    assert [metrics_of(call) for call in lane.upstream.calls] == [
        ["k0", "n", "k1", "k2"],
        ["k0", "k1", "k2"],
        ["n"],
    ]


def test_a_repeat_that_needs_no_division_is_the_same_call() -> None:
    lane = Lane(metric(1), param("p", "v"), tag("t", "v"), metric(2))
    lane.upstream.answer = lambda _: Unknown(reason="no answer")
    for _ in range(3):
        lane.deliver()
        lane.expire_lease()

    assert len(lane.upstream.calls) == 3
    assert len({call.body for call in lane.upstream.calls}) == 1


def test_a_repeat_that_breaks_off_in_the_middle_is_repeated_whole() -> None:
    lane = Lane(capture(Op.LOG_BATCH, batch(250), now=NOW))
    delivered = Delivered(status=200)
    outcomes: list[Outcome] = [Unknown(reason="no answer"), delivered, Unavailable(reason="down"), *[delivered] * 3]
    answers = iter(outcomes)
    lane.upstream.answer = lambda _: next(answers)
    for _ in range(3):
        lane.deliver()
        lane.expire_lease()

    assert [len(metrics_of(call)) for call in lane.upstream.calls] == [250, 100, 100, 100, 100, 50]
    assert lane.statuses() == [JobStatus.DELIVERED]


def test_a_write_that_is_refused_in_a_repeat_is_still_buried_alone() -> None:
    lane = Lane(metric(1), param("p", "other"), metric(2))
    refusal = Refused(status=400, error_code="INVALID_PARAMETER_VALUE", message="no")
    lane.upstream.answer = lambda _: Unknown(reason="no answer")
    lane.deliver()
    lane.expire_lease()
    lane.upstream.answer = lambda call: refusal if b'"other"' in call.body else Delivered(status=200)

    lane.deliver()

    assert lane.statuses() == [JobStatus.DELIVERED, JobStatus.DEAD, JobStatus.DELIVERED]


@pytest.mark.full
def test_a_hot_run_keeps_its_worker_for_one_turn_only() -> None:
    """However much it has, each turn ends after the call in flight; so others wait for a turn and one call at most."""
    lane = Lane(*(metric(step) for step in range(5001)))

    def answer(_: Call) -> Outcome:
        lane.clock.pass_(dt.timedelta(milliseconds=50))
        return Delivered(status=200)

    lane.upstream.answer = answer
    lane.deliver()

    assert len(lane.upstream.calls) == 5
    assert lane.dispatch.lanes == [RUN]
