# SPDX-License-Identifier: Apache-2.0
"""A delivery tells whose writes it carries: in its events, and to upstream."""

from collections.abc import Iterator

import pytest

from bridge.events import BatchRejected, LaneDeferred, UpstreamCallCompleted, WritesDeadLettered, WritesDelivered
from bridge.outbox import Accepted, Offer
from bridge.upstream import Delivered, Outcome, Unavailable
from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext, read_trace, trace_context_of
from tests.factories import RUN, metric, param
from tests.unit.lanes import Lane

TRACE = read_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
OTHER = read_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01")
FIRST, SECOND = trace_context_of("first", TRACE), trace_context_of("second", TRACE)


def lane_of(*trails: TraceContext) -> Lane:
    """A lane whose writes came with these trails."""
    lane = Lane()
    for number, trace_context in enumerate(trails):
        [accepted] = lane.outbox.accept_all([Offer(write=metric(number), client="a", trace_context=trace_context)])
        assert isinstance(accepted, Accepted)
        lane.jobs.append(accepted.job_id)
    return lane


def test_a_delivery_names_its_first_write_and_the_request_that_brought_it() -> None:
    lane = lane_of(FIRST, SECOND)
    lane.upstream.answer = lambda _: Delivered(status=200, request_id="aws-1")

    lane.deliver()

    [told] = lane.events.of(WritesDelivered)
    assert (told.job_id, told.request_id, told.writes) == (lane.jobs[0], "first", 2)
    assert told.upstream_request_id == "aws-1"
    [answered] = lane.events.of(UpstreamCallCompleted)
    assert (answered.lane, answered.request_id, answered.attempt) == (RUN, "first", 1)
    assert lane.upstream.followed[0]["X-Request-Id"] == "first"


def test_a_lane_that_waits_names_what_it_waits_with() -> None:
    lane = lane_of(FIRST, SECOND)
    lane.upstream.answer = lambda _: Unavailable(reason="down")

    lane.deliver()

    [told] = lane.events.of(LaneDeferred)
    assert (told.job_id, told.request_id, told.writes) == (lane.jobs[0], "first", 2)


def test_a_refused_batch_and_the_guilty_write_are_named_each_by_its_own_request() -> None:
    lane = lane_of(FIRST, SECOND)
    lane.refuse(1)

    lane.deliver()

    refused, [dead_lettered] = lane.events.of(BatchRejected), lane.events.of(WritesDeadLettered)
    assert (refused[0].job_id, refused[0].request_id, refused[0].writes) == (lane.jobs[0], "first", 2)
    assert (dead_lettered.job_id, dead_lettered.request_id, dead_lettered.attempt) == (lane.jobs[1], "second", 1)
    assert lane.upstream.followed[-1]["X-Request-Id"] == "second"


def test_a_repeat_is_followed_like_the_first_attempt() -> None:
    lane = lane_of(FIRST, SECOND)
    outcomes: Iterator[Outcome] = iter([Unavailable(reason="down"), Delivered(status=200)])
    lane.upstream.answer = lambda _: next(outcomes)

    lane.deliver()
    lane.expire_lease()
    lane.deliver()

    assert lane.upstream.followed[0] == lane.upstream.followed[1]
    assert [event.attempt for event in lane.events.of(WritesDelivered)] == [2]


def test_a_write_without_a_trail_is_delivered_without_one() -> None:
    lane = Lane(param("p", "v"))

    lane.deliver()

    assert lane.upstream.followed == [{}]
    [told] = lane.events.of(WritesDelivered)
    assert (told.request_id, told.job_id) == (None, lane.jobs[0])


@pytest.mark.parametrize(
    ("trails", "passed_on"),
    [
        ((FIRST,), True),
        ((FIRST, SECOND), True),
        ((FIRST, trace_context_of("third", OTHER)), False),
        ((FIRST, NO_TRACE_CONTEXT), False),
        ((NO_TRACE_CONTEXT, FIRST), False),
    ],
)
def test_a_clients_trace_is_passed_on_where_all_of_a_call_belongs_to_it(
    trails: tuple[TraceContext, ...], *, passed_on: bool
) -> None:
    lane = lane_of(*trails)

    lane.deliver()

    assert TRACE
    followed = lane.upstream.followed[0].items()
    assert (dict(TRACE.headers).items() <= followed) == passed_on
    assert ("traceparent" in dict(followed)) == passed_on


def test_what_is_followed_is_no_part_of_the_call() -> None:
    lanes = [lane_of(FIRST), lane_of(trace_context_of("third", OTHER))]
    for lane in lanes:
        lane.deliver()

    assert lanes[0].upstream.calls == lanes[1].upstream.calls
    assert lanes[0].upstream.followed != lanes[1].upstream.followed
