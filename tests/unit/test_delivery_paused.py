# SPDX-License-Identifier: Apache-2.0
"""What delivery and the sweep do while an operator has paused deliveries."""

import datetime as dt

from bridge.delivery.sweeper import Sweeper
from bridge.outbox import Attempt
from bridge.upstream import Denied
from schemas.job import JobStatus
from tests.factories import RUN, metric
from tests.unit.lanes import HORIZON, Lane

DENIED = Denied(reason="AWS denies it", action="LogMetric", status=403, identified=True)


def paused(lane: Lane) -> None:
    lane.flow_control.pause(why="MLflow is upgraded", by="anna", until=None)


def test_nothing_is_sent_in_a_pause_and_no_attempt_is_counted() -> None:
    lane = Lane(metric(1), metric(2))
    paused(lane)
    for _ in range(30):
        lane.deliver()
    waiting = lane.outbox.lane_backlog(RUN)
    lane.flow_control.resume()

    lane.deliver()

    assert (waiting.attempts, waiting.pending) == (0, 2)
    assert len(lane.upstream.calls) == 1
    assert lane.statuses() == [JobStatus.DELIVERED] * 2


def test_a_pause_expires_no_write_and_afterwards_each_gets_an_attempt() -> None:
    lane = Lane(metric(1))
    paused(lane)
    lane.clock.pass_(HORIZON * 2)
    lane.deliver()
    in_pause = lane.statuses()
    lane.flow_control.resume()

    lane.deliver()

    assert in_pause == [JobStatus.PENDING]
    assert lane.statuses() == [JobStatus.DELIVERED]


def test_a_denied_lane_that_meets_a_pause_is_due_when_it_ends() -> None:
    lane = Lane(metric(1))
    lane.upstream.answer = lambda _: DENIED
    lane.deliver()
    lane.expire_lease()
    paused(lane)

    lane.deliver()

    assert lane.outbox.lane_backlog(RUN).next_attempt_at is None
    assert lane.outbox.claim(RUN, lease=dt.timedelta(seconds=5))


def test_the_sweep_dispatches_no_lane_in_a_pause_and_the_next_one_after_it_does() -> None:
    lane = Lane(metric(1))
    sweep = Sweeper(lane.outbox, lane.dispatch, observe=lane.events, is_paused=lane.flow_control.is_paused)
    paused(lane)
    sweep.tick("worker")
    in_pause, alive = list(lane.dispatch.lanes), lane.outbox.workers()
    lane.flow_control.resume()

    sweep.tick("worker")

    assert (in_pause, alive) == ([], 1)
    assert lane.dispatch.lanes == [RUN]


def test_a_failed_lane_keeps_its_failed_attempts_in_a_pause() -> None:
    lane = Lane(metric(1))
    claim = lane.outbox.claim(RUN, lease=dt.timedelta(seconds=5))
    assert claim
    down = Attempt(writes=1, reason="unavailable", message="down", status=503)
    lane.outbox.release(claim, after=dt.timedelta(), attempt=down)
    paused(lane)

    lane.deliver()

    assert lane.outbox.lane_backlog(RUN).attempts == 1
