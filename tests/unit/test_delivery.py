# SPDX-License-Identifier: Apache-2.0
"""One turn of a lane: order, merging, bisecting, deferring, fairness."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.events import (
    BatchRejected,
    DeliveryErrored,
    LaneDeferred,
    LeaseExpired,
    StoreError,
    WritesDeadLettered,
    WritesDelivered,
)
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.upstream import Call, Delivered, Outcome, Unavailable, Unknown
from bridge.upstream.flow_control import Permit, Withheld
from schemas.job import JobStatus
from tests.factories import RUN, accept_one, metric, param, tag
from tests.unit.lanes import HORIZON, LEASE, REFUSED, Lane, steps


def test_writes_are_delivered_in_one_call_and_the_lane_is_empty() -> None:
    lane = Lane(metric(1), metric(2), param("p", "v"), tag("t", "v"))

    lane.deliver()

    assert len(lane.upstream.calls) == 1
    assert lane.statuses() == [JobStatus.DELIVERED] * 4
    assert lane.outbox.backlog().lanes == 0
    assert [event.writes for event in lane.events.of(WritesDelivered)] == [4]


def test_in_the_names_of_clients_a_call_carries_one_clients_writes_and_the_order_stays() -> None:
    lane = Lane()
    named = replace(lane.delivery, sender=replace(lane.delivery.sender, uses_client_sessions=True))
    for step, client in enumerate("aabab"):
        accept_one(lane.outbox, metric(step), client=client)

    named.deliver(RUN)

    assert [(steps(call), call.client) for call in lane.upstream.calls] == [
        ({0, 1}, "a"),
        ({2}, "b"),
        ({3}, "a"),
        ({4}, "b"),
    ]
    assert lane.outbox.backlog().lanes == 0


def test_in_the_names_of_clients_what_may_have_arrived_is_repeated_as_the_same_call() -> None:
    lane = Lane()
    named = replace(lane.delivery, sender=replace(lane.delivery.sender, uses_client_sessions=True))
    for step, client in enumerate("aab"):
        accept_one(lane.outbox, metric(step), client=client)
    outcomes: list[Outcome] = [Unknown(reason="no answer"), Delivered(status=200), Delivered(status=200)]
    answers = iter(outcomes)
    lane.upstream.answer = lambda _: next(answers)

    named.deliver(RUN)
    accept_one(lane.outbox, metric(3), client="a")
    lane.expire_lease()
    named.deliver(RUN)

    first, again, *rest = lane.upstream.calls
    assert (again.body, again.client) == (first.body, first.client)
    assert [(steps(call), call.client) for call in rest] == [({2}, "b"), ({3}, "a")]


def test_without_names_calls_are_nobodys() -> None:
    lane = Lane()
    for step, client in enumerate("aabab"):
        accept_one(lane.outbox, metric(step), client=client)

    lane.deliver()

    assert [(steps(call), call.client) for call in lane.upstream.calls] == [({0, 1, 2, 3, 4}, None)]


def test_what_arrives_during_a_call_joins_the_next() -> None:
    lane = Lane(metric(1))
    arriving = iter([metric(2), metric(3)])

    def answer(_: Call) -> Outcome:
        for write in arriving:
            lane.accept(write)
        return Delivered(status=200)

    lane.upstream.answer = answer
    lane.deliver()

    assert [steps(call) for call in lane.upstream.calls] == [{1}, {2, 3}]


@pytest.mark.parametrize("guilty", [(0,), (99,), (49, 50), (3, 4, 5, 70), tuple(range(7, 100, 14))], ids=str)
def test_only_the_guilty_writes_are_buried(guilty: tuple[int, ...]) -> None:
    lane = Lane(*(metric(step) for step in range(100)))
    lane.refuse(*guilty)

    lane.deliver()

    expected = [JobStatus.DEAD if step in guilty else JobStatus.DELIVERED for step in range(100)]
    assert lane.statuses() == expected
    assert len(lane.events.of(WritesDeadLettered)) == len(guilty)
    assert lane.events.of(BatchRejected)
    assert len(lane.upstream.calls) <= 1 + len(guilty) * (2 * math.ceil(math.log2(100)) + 1)


def test_the_order_of_a_lane_survives_bisecting() -> None:
    lane = Lane(*(metric(step) for step in range(64)))
    lane.refuse(13, 40)
    taken: list[int] = []
    refuse = lane.upstream.answer

    def answer(call: Call) -> Outcome:
        outcome = refuse(call)
        if isinstance(outcome, Delivered):
            taken.extend(sorted(steps(call)))
        return outcome

    lane.upstream.answer = answer
    lane.deliver()

    assert taken == [step for step in range(64) if step not in (13, 40)]


def test_every_write_of_a_lane_can_be_refused() -> None:
    lane = Lane(*(metric(step) for step in range(9)))
    lane.upstream.answer = lambda _: REFUSED

    lane.deliver()

    assert lane.statuses() == [JobStatus.DEAD] * 9
    assert lane.outbox.backlog().lanes == 0


@pytest.mark.parametrize(
    "outcome", [Unavailable(reason="down"), Unknown(reason="no answer")], ids=["unavailable", "unknown"]
)
def test_an_attempt_that_does_not_get_through_keeps_the_lane_for_later(outcome: Outcome) -> None:
    lane = Lane(metric(1), metric(2))
    lane.upstream.answer = lambda _: outcome

    lane.deliver()

    assert lane.statuses() == [JobStatus.PENDING] * 2
    assert lane.outbox.backlog().lanes == 1
    (deferred,) = lane.events.of(LaneDeferred)
    assert deferred.attempt == 1
    assert deferred.delay <= dt.timedelta(seconds=1)


def test_upstreams_retry_after_is_obeyed() -> None:
    lane = Lane(metric(1))
    lane.upstream.answer = lambda _: Unavailable(reason="throttled", retry_after=dt.timedelta(seconds=30))

    lane.deliver()
    lane.deliver()

    assert len(lane.upstream.calls) == 1
    assert lane.events.of(LaneDeferred)[0].delay >= dt.timedelta(seconds=30)


def test_a_lane_that_never_ends_gives_others_their_turn() -> None:
    lane = Lane(metric(0))
    numbers = iter(range(1, 1000))

    def answer(_: Call) -> Outcome:
        lane.accept(metric(next(numbers)))
        lane.clock.pass_(dt.timedelta(milliseconds=50))
        return Delivered(status=200)

    lane.upstream.answer = answer
    lane.deliver()

    assert len(lane.upstream.calls) == 5
    assert lane.dispatch.lanes == [RUN]
    assert lane.outbox.claim(RUN, lease=LEASE)


def test_a_search_for_a_guilty_write_is_not_broken_off_by_the_end_of_a_turn() -> None:
    lane = Lane(*(metric(step) for step in range(1000)))
    lane.refuse(999)
    refuse = lane.upstream.answer

    def answer(call: Call) -> Outcome:
        lane.clock.pass_(dt.timedelta(seconds=2))
        return refuse(call)

    lane.upstream.answer = answer
    lane.deliver()

    assert lane.statuses().count(JobStatus.DEAD) == 1


def test_a_stop_gives_the_lane_back_after_the_call_in_flight() -> None:
    lane = Lane(metric(1))

    def answer(_: Call) -> Outcome:
        lane.accept(metric(2))
        lane.stopping.set()
        return Delivered(status=200)

    lane.upstream.answer = answer
    lane.deliver()

    assert len(lane.upstream.calls) == 1
    assert lane.dispatch.lanes == []
    assert lane.outbox.claim(RUN, lease=LEASE)


def test_a_lane_that_another_has_claimed_meanwhile_is_left_to_it() -> None:
    lane = Lane(metric(1))
    client: Any = lane.outbox._client  # noqa: SLF001 - another worker's claim, without waiting for a lease to end

    def answer(_: Call) -> Outcome:
        client.hset(next(iter(client.scan_iter("*:lane:*"))), "lease", "another's")
        return Delivered(status=200)

    lane.upstream.answer = answer
    lane.deliver()

    [lost] = lane.events.of(LeaseExpired)
    assert (lost.lane, lost.job_id, lost.writes) == (RUN, lane.jobs[0], 1)
    assert lane.statuses() == [JobStatus.PENDING]


def test_a_store_that_is_gone_is_told_and_not_raised() -> None:
    lane = Lane()
    gone = RedisOutbox(
        connect("unix:///nowhere.sock", timeout=LEASE, connections=1), retention=LEASE, idempotency_ttl=LEASE
    )
    delivery = replace(lane.delivery, outbox=gone)

    delivery.deliver(RUN)

    assert [event.operation for event in lane.events.of(StoreError)] == ["delivery"]


def test_what_upstream_could_not_be_given_within_the_horizon_expires_after_one_more_attempt() -> None:
    lane = Lane(metric(1), metric(2))
    lane.upstream.answer = lambda _: Unavailable(reason="down")
    lane.clock.pass_(HORIZON + dt.timedelta(minutes=1))

    lane.deliver()

    assert len(lane.upstream.calls) == 1
    assert lane.statuses() == [JobStatus.DEAD] * 2
    document = lane.outbox.job(lane.jobs[0], client="a")
    assert document
    assert document.error
    assert (document.error.reason, document.error.message) == ("expired", "last attempt: down")


def test_what_was_not_sent_does_not_expire() -> None:
    """A param that is written twice can't go into one call, so the third write is not a part of the attempt."""
    lane = Lane(metric(1), param("p", "1"), param("p", "2"))
    lane.upstream.answer = lambda _: Unavailable(reason="down")
    lane.clock.pass_(HORIZON + dt.timedelta(minutes=1))

    lane.deliver()

    assert lane.statuses() == [JobStatus.DEAD, JobStatus.DEAD, JobStatus.PENDING]


def test_what_is_older_than_the_horizon_is_delivered_if_upstream_takes_it() -> None:
    lane = Lane(metric(1))
    lane.clock.pass_(HORIZON * 2)

    lane.deliver()

    assert lane.statuses() == [JobStatus.DELIVERED]


class Died(BaseException):
    """The worker's process ended."""


@pytest.mark.parametrize(("count", "poison"), [(1, 0), (2, 0), (2, 1), (40, 0), (40, 17), (40, 39)])
def test_a_write_that_ends_its_workers_is_found_and_buried_alone(count: int, poison: int) -> None:
    lane = Lane(*(metric(step) for step in range(count)))

    def answer(call: Call) -> Outcome:
        if poison in steps(call):
            raise Died
        return Delivered(status=200)

    lane.upstream.answer = answer
    deaths = 0
    while JobStatus.PENDING in lane.statuses():
        try:
            lane.deliver()
        except Died:
            deaths += 1
            lane.expire_lease()
        assert deaths < 50

    expected = [JobStatus.DEAD if step == poison else JobStatus.DELIVERED for step in range(count)]
    assert lane.statuses() == expected
    assert [event.reason for event in lane.events.of(WritesDeadLettered)] == ["poison"]


def test_workers_that_die_now_and_then_are_nobodys_fault() -> None:
    lane = Lane(metric(0))
    for step in range(1, 20):
        lane.upstream.answer = _die
        with pytest.raises(Died):
            lane.deliver()
        lane.expire_lease()
        lane.upstream.answer = lambda _: Delivered(status=200)
        lane.deliver()
        lane.jobs.append(lane.accept(metric(step)))
    lane.deliver()

    assert set(lane.statuses()) == {JobStatus.DELIVERED}


def _die(_: Call) -> Outcome:
    raise Died


def test_a_shut_gate_holds_the_lane_without_an_attempt_and_lets_its_writes_gather() -> None:
    lane = Lane(metric(1))
    lane.flow_control.decision = Withheld(dt.timedelta(), "breaker")

    lane.deliver()
    lane.jobs.append(lane.accept(metric(2)))
    waiting = lane.outbox.job(lane.jobs[0], client="a")
    lane.flow_control.decision = Permit(dt.timedelta())
    lane.deliver()

    assert waiting
    assert waiting.error
    assert (waiting.attempts, waiting.error.message) == (0, "breaker")
    assert [steps(call) for call in lane.upstream.calls] == [{1, 2}]
    assert lane.flow_control.reported == [Delivered(status=200)]


def shut(lane: Lane) -> None:
    lane.flow_control.decision = Withheld(dt.timedelta(), "breaker")


def unavailable(lane: Lane) -> None:
    lane.upstream.answer = lambda _: Unavailable(reason="down")


def stopped(lane: Lane) -> None:
    lane.stopping.set()


@pytest.mark.parametrize("trouble", [shut, unavailable, stopped])
def test_what_may_have_been_sent_is_sent_again_as_it_was_whatever_comes_between(
    trouble: Callable[[Lane], None],
) -> None:
    lane = Lane(metric(1))
    lane.upstream.answer = lambda _: Unknown(reason="no answer")
    lane.deliver()
    lane.expire_lease()
    trouble(lane)
    lane.deliver()
    lane.expire_lease()
    lane.accept(metric(2))

    lane.flow_control.decision = Permit(dt.timedelta())
    lane.stopping.clear()
    lane.upstream.answer = lambda _: Delivered(status=200)
    lane.deliver()

    assert [steps(call) for call in lane.upstream.calls][-2:] == [{1}, {2}]


def test_a_defect_of_the_bridge_is_not_the_writes_fault() -> None:
    lane = Lane(metric(1))

    def broken(call: Call) -> Outcome:
        raise ValueError(call.body)

    lane.upstream.answer = broken
    for _ in range(30):
        lane.deliver()
        lane.expire_lease()
    (waiting,) = lane.statuses()
    lane.upstream.answer = lambda _: Delivered(status=200)
    lane.deliver()

    assert waiting is JobStatus.PENDING
    assert lane.statuses() == [JobStatus.DELIVERED]
    broke = lane.events.of(DeliveryErrored)
    assert len(broke) == 30
    assert {(event.job_id, event.writes) for event in broke} == {(lane.jobs[0], 1)}
    assert RUN not in str([event.where + event.reason for event in broke])


def test_a_defect_is_told_of_the_writes_that_it_kept() -> None:
    lane = Lane(metric(1), param("p", "1"), param("p", "2"))

    def broken(_: Call) -> Outcome:
        if len(lane.upstream.calls) == 1:
            return Delivered(status=200)
        raise ValueError

    lane.upstream.answer = broken

    lane.deliver()

    assert lane.statuses() == [JobStatus.DELIVERED, JobStatus.DELIVERED, JobStatus.PENDING]
    [broke] = lane.events.of(DeliveryErrored)
    assert (broke.job_id, broke.writes) == (lane.jobs[2], 1)


def test_what_waits_behind_a_failing_call_was_not_attempted() -> None:
    lane = Lane(metric(1), param("p", "1"), param("p", "2"))
    lane.upstream.answer = lambda _: Unavailable(reason="down")

    lane.deliver()

    documents = [lane.outbox.job(job_id, client="a") for job_id in lane.jobs]
    assert [document.attempts for document in documents if document] == [1, 1, 0]
    assert {document.error.message for document in documents if document and document.error} == {"down"}
