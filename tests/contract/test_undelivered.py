# SPDX-License-Identifier: Apache-2.0
"""What `bridge.outbox` promises about what is accepted and not delivered yet."""

import datetime as dt

from msgspec.structs import replace

from bridge.outbox import Claim, Settlement
from bridge.redis_store.outbox import RedisOutbox
from tests.factories import RUN, accept_one, metric, tag

LEASE = dt.timedelta(seconds=30)
ONE = Settlement(count=1, attempts=1, status=200)
A, B, C = ("a" * 32, "b" * 32, "c" * 32)
MUCH = 1 << 30


def claimed(outbox: RedisOutbox, lane: str) -> Claim:
    claim = outbox.claim(lane, lease=LEASE)
    assert claim
    return claim


def test_a_clients_lanes_are_known_while_anything_is_pending_there(outbox: RedisOutbox) -> None:
    for lane, client in [(A, "me"), (B, "other"), (B, "me"), (C, "other"), (A, "me")]:
        accept_one(outbox, replace(metric(1), lane=lane), client=client)
    before = sorted(outbox.lanes_of("me", limit=10))
    limited = len(outbox.lanes_of("me", limit=1))
    first = outbox.settle(claimed(outbox, A), ONE, lease=LEASE)
    assert first
    half = sorted(outbox.lanes_of("me", limit=10))
    outbox.settle(first, ONE, lease=LEASE)

    assert (before, limited, half) == ([A, B], 1, [A, B])
    assert outbox.lanes_of("me", limit=10) == [B]
    assert sorted(outbox.lanes_of("other", limit=10)) == [B, C]
    assert outbox.lanes_of("m", limit=10) == outbox.lanes_of("me\n", limit=10) == []


def test_a_lane_that_was_empty_is_known_again_with_its_next_write(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="me")
    outbox.settle(claimed(outbox, RUN), ONE, lease=LEASE)
    empty = outbox.lanes_of("me", limit=10)
    accept_one(outbox, metric(2), client="other")
    of_others = outbox.lanes_of("me", limit=10)
    accept_one(outbox, metric(3), client="me")

    assert (empty, of_others, outbox.lanes_of("me", limit=10)) == ([], [], [RUN])


def test_undelivered_jobs_are_read_in_order_from_a_position_on_and_up_to_a_size(outbox: RedisOutbox) -> None:
    accepted = [accept_one(outbox, tag("t", f"{number}" + "x" * 1000), client=f"{number % 2}") for number in range(40)]
    claim = outbox.settle(claimed(outbox, RUN), Settlement(count=5, attempts=1, status=200), lease=LEASE)
    assert claim
    positions = [each.position for each in accepted]

    everything, end = outbox.undelivered(RUN, after=0, max_bytes=MUCH)
    some, more = outbox.undelivered(RUN, after=positions[9], max_bytes=5000)
    rest, _ = outbox.undelivered(RUN, after=more or 0, max_bytes=MUCH)

    assert ([job.position for job in everything], end) == (positions[5:], None)
    assert some[0].position == positions[10]
    assert 4 <= len(some) <= 6
    assert [job.position for job in [*some, *rest]] == positions[10:]
    assert outbox.undelivered(RUN, after=positions[-1], max_bytes=MUCH) == ([], None)
    assert outbox.undelivered(A, after=0, max_bytes=MUCH) == ([], None)
