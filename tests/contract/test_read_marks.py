# SPDX-License-Identifier: Apache-2.0
"""The marks show whose writes were settled, and whether anything changed, since a call to upstream."""

import datetime as dt
from typing import Any

import pytest

from bridge.outbox import Settlement
from bridge.redis_store.outbox import RedisOutbox
from bridge.redis_store.read_marks import REMEMBERED_CLIENTS, RedisReadMarks
from tests.factories import RUN, accept_one, metric

LEASE = dt.timedelta(minutes=1)


@pytest.fixture
def marks(client: Any) -> RedisReadMarks:
    return RedisReadMarks(client, client)


def settle(outbox: RedisOutbox, client: str, run_id: str = RUN) -> None:
    accept_one(outbox, metric(run_id=run_id), client=client)
    claim = outbox.claim(run_id, lease=LEASE)
    assert claim
    outbox.settle(claim, Settlement(count=len(claim.jobs), attempts=1, status=200), lease=LEASE)


def test_an_answer_covers_what_was_settled_before_it_and_nothing_later(
    outbox: RedisOutbox, marks: RedisReadMarks
) -> None:
    settle(outbox, "ann")
    answer = marks.read("bob")

    assert answer.covers(marks.read("ann"))
    settle(outbox, "bob")
    assert answer.covers(marks.read("ann"))
    assert not answer.covers(marks.read("bob"))
    assert marks.read("ann").covers(marks.read("bob"))


def test_a_settlement_counts_in_each_partition(outbox: RedisOutbox, marks: RedisReadMarks) -> None:
    for number in range(40):
        answer = marks.read("ann")
        settle(outbox, "ann", run_id=f"{number:032x}")

        assert not answer.covers(marks.read("ann"))
        assert answer.covers(marks.read("bob"))


def test_writes_that_are_only_accepted_count_once_they_are_settled(outbox: RedisOutbox, marks: RedisReadMarks) -> None:
    accept_one(outbox, metric(), client="ann")
    answer = marks.read("ann")
    assert answer.covers(marks.read("ann"))

    claim = outbox.claim(RUN, lease=LEASE)
    assert claim
    outbox.settle(claim, Settlement(), lease=LEASE)
    assert answer.covers(marks.read("ann"))
    outbox.settle(claim, Settlement(count=1, attempts=1, status=200), lease=LEASE)
    assert not answer.covers(marks.read("ann"))


def test_a_client_that_is_forgotten_counts_as_the_earliest_that_is_remembered(
    outbox: RedisOutbox, marks: RedisReadMarks
) -> None:
    before = marks.read("ann")
    settle(outbox, "ann")
    for number in range(REMEMBERED_CLIENTS + 3):
        settle(outbox, f"client-{number}")
    after = marks.read("ann")

    assert not before.covers(after)
    assert after.covers(after)
    settle(outbox, "one-more")
    assert after.covers(marks.read("ann"))
    assert not after.covers(marks.read("one-more"))


def test_a_change_counts_for_all(marks: RedisReadMarks) -> None:
    answers = [marks.read("ann"), marks.read(None)]
    marks.note_change()

    assert not answers[0].covers(marks.read("bob"))
    assert not answers[1].covers(marks.read(None))
    assert marks.read(None).covers(marks.read(None))
