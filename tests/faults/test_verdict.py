# SPDX-License-Identifier: Apache-2.0
"""The verdict finds what it is there to find: each test breaks one promise and nothing else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.entities import Entity, carried
from tests.faults.evidence import Arrival, Evidence
from tests.faults.load import Sent, planned
from tests.faults.verdict import Verdict, judge

RUN = "a-run"
NUMBERS = range(10)


def sent(number: int, *, told: tuple[int, ...] = (200,), also_bad: bool = False) -> Sent:
    call, fields = planned(number, also_bad=also_bad)
    return Sent(run_id=RUN, call=call, body={"run_id": RUN} | fields, told=told, job_id=f"job-{number}")


def entities(number: int) -> tuple[Entity, ...]:
    one = sent(number)
    return tuple(carried(one.call, one.body))


METRIC = entities(0)[0]


def arrival(*numbers: int, status: int | None = 200) -> Arrival:
    return Arrival(
        run_id=RUN, entities=tuple(entity for number in numbers for entity in entities(number)), upstream_status=status
    )


def evidence(
    arrivals: Sequence[Arrival] = tuple(map(arrival, NUMBERS)), *, without: Sequence[Entity] = (), **statuses: str
) -> Evidence:
    """Ten writes of which each was delivered by a call of its own, but for what the test says."""
    held = Counter(entity for number in NUMBERS for entity in entities(number) if entity not in without)
    return Evidence(
        sent=[sent(number) for number in NUMBERS],
        arrivals=arrivals,
        held={RUN: held},
        statuses={f"job-{number}": statuses.get(f"job_{number}", "delivered") for number in NUMBERS},
    )


def found(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.inversions, verdict.duplicates, verdict.false_2xx


def test_nothing_is_wrong_where_each_write_was_delivered_once_and_in_order() -> None:
    verdict = judge(evidence())

    assert found(verdict) == (0, 0, 0, 0)
    assert (verdict.accepted, verdict.not_2xx, verdict.dead, verdict.bad) == (10, 0, 0, 0)
    assert (verdict.upstream_calls, verdict.redeliveries) == (10, 0)


@pytest.mark.parametrize("number", [0, 3, 5, 7], ids=["a metric", "a param", "a tag", "a batch"])
def test_a_write_that_is_said_to_be_delivered_and_is_not_in_mlflow_is_lost_and_was_falsely_accepted(
    number: int,
) -> None:
    assert found(judge(evidence(without=entities(number)))) == (1, 0, 0, 1)


@pytest.mark.parametrize("place", range(6))
def test_a_batch_of_which_a_part_is_missing_is_lost(place: int) -> None:
    assert found(judge(evidence(without=[entities(7)[place]]))) == (1, 0, 0, 1)


def test_a_write_that_waits_for_ever_is_lost_but_was_truly_accepted() -> None:
    assert found(judge(evidence(without=entities(0), job_0="pending"))) == (1, 0, 0, 0)


def test_a_write_whose_job_nobody_knows_was_falsely_accepted() -> None:
    assert found(judge(evidence(without=entities(0), job_0="unknown"))) == (1, 0, 0, 1)


def test_a_dead_write_is_not_lost() -> None:
    verdict = judge(evidence(without=entities(0), job_0="dead"))

    assert found(verdict) == (0, 0, 0, 0)
    assert verdict.dead == 1


def test_a_write_that_was_never_accepted_may_be_missing() -> None:
    whole = evidence(without=entities(9))

    verdict = judge(replace(whole, sent=[*whole.sent[:9], sent(9, told=(503, 0))]))

    assert found(verdict) == (0, 0, 0, 0)
    assert (verdict.accepted, verdict.not_2xx) == (9, 2)


def test_a_metric_that_is_another_than_was_logged_is_lost() -> None:
    whole = evidence(without=entities(0))
    whole.held[RUN][METRIC._replace(value=0.5)] += 1

    assert found(judge(whole)) == (1, 0, 0, 1)


def test_a_metric_that_was_taken_after_a_later_one_is_an_inversion() -> None:
    assert found(judge(evidence([arrival(1), arrival(0), *map(arrival, NUMBERS[2:])]))) == (0, 1, 0, 0)


def test_the_order_within_a_call_counts_too() -> None:
    assert found(judge(evidence([arrival(1, 0, 2, 6)]))) == (0, 1, 0, 0)


def test_each_metric_that_comes_too_late_counts() -> None:
    assert found(judge(evidence([arrival(6), arrival(0), arrival(1), arrival(2)]))) == (0, 3, 0, 0)


def test_a_redelivery_is_no_inversion_and_is_counted() -> None:
    verdict = judge(evidence([arrival(0, 1), arrival(2), arrival(0, 1), arrival(2), arrival(6)]))

    assert found(verdict) == (0, 0, 0, 0)
    assert verdict.redeliveries == 2


@pytest.mark.parametrize("status", [None, 400, 502])
def test_what_mlflow_did_not_take_has_not_arrived(status: int | None) -> None:
    late = judge(evidence([arrival(0, 1, 2, status=status), arrival(2), arrival(0, 1), arrival(6)]))
    again = judge(evidence([arrival(2, status=status), arrival(0, 1), arrival(2), arrival(6)]))

    assert (late.inversions, late.redeliveries) == (2, 0)
    assert (again.inversions, again.redeliveries) == (0, 0)


def test_the_order_of_one_run_is_not_that_of_another() -> None:
    whole = evidence()
    first = Arrival(run_id="another", entities=entities(9), upstream_status=200)

    assert found(judge(replace(whole, arrivals=[first, *whole.arrivals]))) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "second",
    [METRIC, METRIC._replace(timestamp=5), METRIC._replace(value=0.5)],
    ids=["equal", "at another time", "of another value"],
)
def test_a_second_value_for_a_step_is_a_duplicate(second: Entity) -> None:
    whole = evidence()
    whole.held[RUN][second] += 1

    assert found(judge(whole)) == (0, 0, 1, 0)


def test_a_bad_write_is_told_from_the_others_and_lost_unless_it_is_dead() -> None:
    whole = evidence(job_4="dead")
    bad = [sent(number, also_bad=True) for number in NUMBERS]

    verdict = judge(replace(whole, sent=bad))
    delivered = judge(replace(whole, sent=bad, statuses={}))

    assert (verdict.bad, verdict.dead, verdict.lost) == (1, 1, 0)
    assert (delivered.bad, delivered.dead, delivered.lost) == (1, 0, 1)
