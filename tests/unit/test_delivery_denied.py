# SPDX-License-Identifier: Apache-2.0
"""A write that upstream denies waits in its lane, for a while, and nobody else waits for it."""

import datetime as dt
from typing import Any

import pytest

from bridge.events import LaneDenied, WritesDeadLettered
from bridge.upstream import Call, Delivered, Denied, Outcome
from bridge.upstream.flow_control import Withheld
from schemas.job import JobStatus
from tests.factories import metric
from tests.unit.lanes import DENIAL_GRACE, Lane, steps

DENIED = Denied(reason="AWS denies the bridge the action LogMetric", action="LogMetric", status=403, identified=True)
SECOND = dt.timedelta(seconds=1)
#: The store has a clock of its own, so a stalled machine shifts one against the other.
MINUTE = dt.timedelta(minutes=1)


class DeniedLane(Lane):
    """A lane of which upstream denies some steps."""

    def __init__(self, count: int, *denied: int) -> None:
        super().__init__(*(metric(step) for step in range(count)))
        self.denied = set(denied)
        self.upstream.answer = self._answer

    def _answer(self, call: Call) -> Outcome:
        return DENIED if steps(call) & self.denied else Delivered(status=200)

    def later(self, span: dt.timedelta = SECOND) -> None:
        """Let time pass, and deliver again."""
        self.clock.pass_(span)
        self.expire_lease()
        self.deliver()


@pytest.mark.parametrize("guilty", [0, 1, 17, 39])
def test_its_neighbours_before_it_are_delivered_and_it_waits_alone(guilty: int) -> None:
    lane = DeniedLane(40, guilty)

    lane.deliver()
    calls = len(lane.upstream.calls)
    lane.later()

    assert lane.statuses() == [JobStatus.DELIVERED] * guilty + [JobStatus.PENDING] * (40 - guilty)
    assert calls < 15
    assert steps(lane.upstream.calls[-1]) == {guilty}, "it is asked for again alone"
    error = document(lane, guilty).error
    assert error
    assert (error.reason, error.message) == ("denied", DENIED.reason)
    assert {event.action for event in lane.events.of(LaneDenied)} == {"LogMetric"}


def test_after_the_grace_it_is_a_dead_letter_and_its_lane_goes_on() -> None:
    lane = DeniedLane(3, 1)
    lane.deliver()

    lane.later(DENIAL_GRACE - MINUTE)
    before = lane.statuses()
    lane.later(2 * MINUTE)

    assert before == [JobStatus.DELIVERED, JobStatus.PENDING, JobStatus.PENDING]
    assert lane.statuses() == [JobStatus.DELIVERED, JobStatus.DEAD, JobStatus.DELIVERED]
    assert [event.reason for event in lane.events.of(WritesDeadLettered)] == ["denied"]
    upstream = document(lane, 1).upstream
    assert upstream
    assert (upstream.status, upstream.message) == (403, DENIED.reason)


def test_where_upstream_denies_everything_nothing_is_ever_a_dead_letter_for_it() -> None:
    lane = DeniedLane(3, 0, 1, 2)
    lane.upstream.reachable = False
    lane.deliver()

    for _ in range(10):
        lane.later(DENIAL_GRACE)
    while_denied = lane.statuses()
    lane.denied.clear()
    lane.later()

    assert while_denied == [JobStatus.PENDING] * 3
    assert lane.statuses() == [JobStatus.DELIVERED] * 3


def test_where_others_get_through_it_is_given_up_although_the_probe_fails() -> None:
    lane = DeniedLane(2, 0)
    lane.upstream.reachable, lane.flow_control.others_get_through = False, True
    lane.deliver()

    lane.later(DENIAL_GRACE + MINUTE)

    assert lane.statuses() == [JobStatus.DEAD, JobStatus.DELIVERED]


def test_those_behind_it_that_are_denied_too_have_waited_with_it() -> None:
    lane = DeniedLane(4, 0, 1, 2)
    lane.deliver()

    lane.later(DENIAL_GRACE + MINUTE)

    assert lane.statuses() == [JobStatus.DEAD] * 3 + [JobStatus.DELIVERED]


def test_one_that_is_accepted_later_has_a_grace_of_its_own() -> None:
    lane = DeniedLane(1, 0, 1)
    lane.deliver()
    lane.clock.pass_(DENIAL_GRACE)
    # The store dates what it accepts by its own clock, which the test can't move.
    lane.clock.time = dt.datetime.now(dt.UTC) + DENIAL_GRACE + MINUTE
    lane.later(dt.timedelta())
    lane.clock.time = dt.datetime.now(dt.UTC)
    lane.jobs.append(lane.accept(metric(1)))
    lane.deliver()

    lane.later(DENIAL_GRACE - 5 * MINUTE)
    early = lane.statuses()
    lane.later(10 * MINUTE)

    assert early == [JobStatus.DEAD, JobStatus.PENDING]
    assert lane.statuses() == [JobStatus.DEAD, JobStatus.DEAD]


def test_once_it_is_allowed_the_lane_goes_on_in_full_calls() -> None:
    lane = DeniedLane(40, 5)
    lane.deliver()
    lane.denied.clear()
    del lane.upstream.calls[:]

    lane.later()

    assert set(lane.statuses()) == {JobStatus.DELIVERED}
    assert [len(steps(call)) for call in lane.upstream.calls] == [1, 34]
    assert lane.flow_control.of_denied[-2:] == [True, False]


def test_a_gate_that_is_shut_leaves_the_reason_as_it_is() -> None:
    lane = DeniedLane(1, 0)
    lane.deliver()
    lane.flow_control.decision = Withheld(SECOND, "the rate limit of denied calls")

    lane.later()

    error = document(lane, 0).error
    assert error
    assert error.reason == "denied"


def document(lane: Lane, number: int) -> Any:
    found = lane.outbox.job(lane.jobs[number], client="a")
    assert found
    return found
