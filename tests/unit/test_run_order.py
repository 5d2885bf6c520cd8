# SPDX-License-Identifier: Apache-2.0
"""What is written to a run by its name and by its id reaches upstream in the order in which it was accepted."""

import json
import time

import pytest

from bridge.upstream import Call, Delivered, Outcome, Unavailable
from schemas.bodies.batchable import capture
from schemas.job import JobStatus
from schemas.lane import NamedRun
from schemas.write import Op, Write
from tests.factories import NOW, RUN
from tests.factories import metric as by_id
from tests.unit.lanes import Lane, steps

NAME = "nightly/17"
LANE = NamedRun(NAME).lane


def by_name(step: int) -> Write:
    body = {"run": NAME, "key": "m", "value": step, "step": step, "timestamp": 1}
    return capture(Op.LOG_METRIC, json.dumps(body).encode(), now=NOW)


class NamedLane(Lane):
    """A run with a name, and its two lanes."""

    def __init__(self) -> None:
        super().__init__()
        self.names.bind(LANE, RUN)

    def log(self, step: int, *, named: bool) -> None:
        self.jobs.append(self.accept(by_name(step) if named else by_id(step)))
        # The next is accepted in another millisecond.
        began = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == began:
            pass

    def sent(self) -> list[int]:
        return [step for call in self.upstream.calls for step in sorted(steps(call))]

    def deliver_all(self, *lanes: str) -> None:
        for lane in lanes * 50:
            self.expire_lease_of(lane) if self.outbox.extents([lane])[lane].pending else None
            self.delivery.deliver(lane)


@pytest.mark.parametrize("lanes", [(RUN, LANE), (LANE, RUN)], ids=["id first", "name first"])
def test_whichever_lane_is_worked_on_first(lanes: tuple[str, str]) -> None:
    lane = NamedLane()
    for step, by in enumerate("nnidnniiniiinnininiinnnininiii"):
        lane.log(step, named=by == "n")

    lane.deliver_all(*lanes)

    assert lane.sent() == list(range(30))
    assert set(lane.statuses()) == {JobStatus.DELIVERED}


def test_one_lane_waits_for_what_upstream_does_not_take_in_the_other() -> None:
    lane = NamedLane()
    down = True

    def answer(call: Call) -> Outcome:
        return Unavailable(reason="down") if down and 0 in steps(call) else Delivered(status=200)

    lane.upstream.answer = answer
    for step, named in enumerate([True, False, True, False]):
        lane.log(step, named=named)
    lane.deliver_all(RUN, LANE)
    while_down = lane.statuses()
    down = False
    del lane.upstream.calls[:]
    lane.deliver_all(RUN, LANE)

    assert while_down == [JobStatus.PENDING] * 4
    assert lane.sent() == [0, 1, 2, 3]


def test_a_lane_that_may_not_go_first_has_the_other_dispatched() -> None:
    lane = NamedLane()
    lane.log(0, named=True)
    lane.log(1, named=False)

    lane.delivery.deliver(RUN)

    assert lane.upstream.calls == []
    assert LANE in lane.dispatch.lanes


def test_a_run_without_a_name_is_not_looked_up() -> None:
    lane = Lane(by_id(0), by_id(1))

    lane.deliver()

    assert lane.statuses() == [JobStatus.DELIVERED] * 2
    assert lane.outbox.lane_backlog(RUN).pending == 0
