# SPDX-License-Identifier: Apache-2.0
"""What one client's backlog says, over each kind of store."""

import datetime as dt

from bridge.outbox import Attempt, Settlement
from bridge.redis_store.outbox import RedisOutbox
from tests.contract.test_outbox import LEASE, claimed
from tests.factories import RUN, accept_one, metric

OTHER_RUN = "f" * 32
LATER = dt.timedelta(minutes=1)


def test_a_client_without_writes_has_nothing_pending(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="b")

    found = outbox.client_backlog("a")

    assert (found.lanes, found.writes, found.bytes, found.oldest_accepted_at) == (0, 0, 0, None)
    assert found.is_complete


def test_own_writes_are_counted_in_each_lane_with_their_bytes_and_the_oldest(outbox: RedisOutbox) -> None:
    accepted = [accept_one(outbox, write, client="a") for write in (metric(1), metric(2), metric(3, run_id=OTHER_RUN))]

    found = outbox.client_backlog("a")

    assert (found.lanes, found.writes) == (2, 3)
    assert found.bytes == sum(outbox.lane_backlog(lane).bytes for lane in (RUN, OTHER_RUN))
    assert found.oldest_accepted_at == accepted[0].accepted_at


def test_of_a_lane_that_others_write_to_only_own_writes_are_counted(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="b")
    accepted = accept_one(outbox, metric(2), client="a")
    accept_one(outbox, metric(3), client="b")

    found = outbox.client_backlog("a")

    assert (found.lanes, found.writes, found.oldest_accepted_at) == (1, 1, accepted.accepted_at)
    assert outbox.client_backlog("b").writes == 2
    assert found.is_complete


def test_a_client_whose_name_begins_like_another_ones_is_not_that_one(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="a")
    accept_one(outbox, metric(2, run_id=OTHER_RUN), client="ab")

    assert outbox.client_backlog("a").writes == 1


def test_what_is_delivered_is_not_pending(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="a")
    outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, status=200), lease=LEASE)

    assert outbox.client_backlog("a").writes == 0


def test_why_a_lane_waits_and_until_when_is_told(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="a")
    attempt = Attempt(writes=1, reason="unavailable", message="503")
    outbox.release(claimed(outbox), after=LATER, attempt=attempt)

    found = outbox.client_backlog("a")

    assert found.failures == ("unavailable",)
    assert found.next_attempt_at
    assert found.oldest_accepted_at
    assert found.next_attempt_at > found.oldest_accepted_at


def test_a_denied_write_is_told_apart(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="a")
    outbox.release(
        claimed(outbox), after=LATER, attempt=Attempt(writes=1, reason="denied", message="x", failure_kind="denied")
    )

    assert outbox.client_backlog("a").failures == ("denied",)
