# SPDX-License-Identifier: Apache-2.0
"""Lists and counts of dead letters: newest first, by operation and error code, in groups by cause; look-ups of jobs."""

import datetime as dt
from typing import Any

import pytest

from bridge.outbox import DeadLettering, DeadLetterReason, Offer, Settlement
from bridge.redis_store import keys
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.job_search import RedisJobSearch
from bridge.redis_store.outbox import RedisOutbox
from schemas.dead_letter import LetterFilter, LetterOrder
from schemas.idempotency import Idempotency
from schemas.job import UpstreamAnswer
from schemas.trace_context import trace_context_of
from schemas.write import Op, Write
from tests.factories import RUN, accept_one, metric, param, tag
from tests.servers import wait_until

LEASE = dt.timedelta(seconds=30)
ALL = LetterFilter()
NEWEST = LetterOrder.NEWEST
INVALID = "INVALID_PARAMETER_VALUE"


@pytest.fixture
def search(client: Any) -> RedisJobSearch:
    return RedisJobSearch(client)


def refused(message: str, error_code: str = INVALID) -> DeadLettering:
    answer = UpstreamAnswer(status=400, error_code=error_code, message=message)
    return DeadLettering(reason=DeadLetterReason.REFUSED, message=message, answer=answer)


EXPIRED = DeadLettering(reason=DeadLetterReason.EXPIRED, message="last attempt: down")


def bury(outbox: RedisOutbox, write: Write, dead_lettering: DeadLettering = EXPIRED, client: str = "a") -> str:
    """Make one write a dead letter, in a millisecond of its own, and return its job."""
    job_id = accept_one(outbox, write, client=client).job_id
    claim = wait_until(lambda: outbox.claim(write.lane, lease=LEASE), every=0.005)
    before = dt.datetime.now(dt.UTC)
    assert outbox.settle(claim, Settlement(count=1, attempts=1, dead_lettering=dead_lettering), lease=LEASE) is None
    wait_until(lambda: dt.datetime.now(dt.UTC) > before + dt.timedelta(milliseconds=2), every=0.001)
    return job_id


def paged(letters: RedisDeadLetters, wanted: LetterFilter, *, limit: int, order: LetterOrder) -> list[str]:
    """The ids of all letters, page by page."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        found = letters.find(wanted, after=cursor, limit=limit, order=order)
        seen += found.letter_ids
        cursor = found.cursor
        if cursor is None:
            return seen


def test_the_newest_come_first_and_pages_follow_each_other(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for number in range(23):
        bury(outbox, metric(1, run_id=f"{number:032x}"))

    oldest, newest = (paged(letters, ALL, limit=5, order=order) for order in LetterOrder)

    assert newest == oldest[::-1]
    assert len(set(newest)) == 23
    times = [letter.buried_at for letter in letters.page(ALL, after=None, limit=23, order=NEWEST).letters]
    assert times == sorted(times, reverse=True)
    middle = LetterFilter(since=times[15], until=times[4])
    assert paged(letters, middle, limit=4, order=NEWEST) == newest[5:16]
    assert paged(letters, middle, limit=4, order=LetterOrder.OLDEST) == newest[5:16][::-1]


def test_a_page_of_the_newest_is_not_disturbed_by_newer_ones(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for number in range(4):
        bury(outbox, metric(1, run_id=f"{number:032x}"))
    first = letters.find(ALL, after=None, limit=2, order=NEWEST)
    bury(outbox, metric(1, run_id=f"{9:032x}"))

    second = letters.find(ALL, after=first.cursor, limit=2, order=NEWEST)

    assert [each[:32] for each in first.letter_ids + second.letter_ids] == [f"{n:032x}" for n in (3, 2, 1, 0)]


def test_letters_are_filtered_by_operation_and_error_code(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    bury(outbox, metric(1))
    bury(outbox, param("p", "1"), refused("no"))
    bury(outbox, param("p", "2"), refused("gone", "RESOURCE_DOES_NOT_EXIST"), client="b")
    bury(outbox, tag("t", "1"), refused("no"))

    def count(**wanted: Any) -> int:
        found = LetterFilter(**wanted)
        listed = [paged(letters, found, limit=1, order=order) for order in LetterOrder]
        assert len(listed[0]) == len(listed[1]) == letters.count(found) == letters.totals(found).count
        return len(listed[0])

    assert count(op=Op.LOG_PARAMETER) == 2
    assert count(op=Op.LOG_METRIC) == count(error_code="RESOURCE_DOES_NOT_EXIST") == 1
    assert count(error_code=INVALID) == 2
    assert count(op=Op.LOG_PARAMETER, error_code=INVALID) == count(op=Op.LOG_PARAMETER, client="b") == 1
    assert count(op=Op.DELETE_TAG) == count(error_code="NO_SUCH_CODE") == count(op=Op.SET_TAG, reason="expired") == 0
    summaries = letters.page(LetterFilter(op=Op.SET_TAG), after=None, limit=9).letters
    assert [(letter.op, letter.error_code) for letter in summaries] == [(Op.SET_TAG, INVALID)]


def test_a_cause_that_was_looked_up_does_not_outlive_its_letter(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    wanted = LetterFilter(op=Op.LOG_PARAMETER)
    for value in "123":
        bury(outbox, param("p", value), refused("no"))
    first = letters.find(wanted, after=None, limit=9).letter_ids

    letters.discard(first[0])
    letters.replay(first[1])

    assert letters.find(wanted, after=None, limit=9).letter_ids == first[2:]
    assert letters.count(wanted) == 1


def test_totals_are_exact_and_groups_are_by_cause(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for number in range(3):
        bury(outbox, param("p", str(number)), refused(f"value='{number}' is not allowed"))
    bury(outbox, param("p", "x"), refused("value='x' is not allowed"), client="b")
    bury(outbox, metric(1))
    newest = letters.page(LetterFilter(op=Op.LOG_PARAMETER), after=None, limit=1, order=NEWEST).letters[0]

    totals = letters.totals(ALL)

    assert (totals.count, totals.sampled) == (5, False)
    assert (totals.by_reason, totals.by_client) == ({"refused": 4, "expired": 1}, {"a": 4, "b": 1})
    assert [(group.op, group.error_code, group.count) for group in totals.groups] == [
        (Op.LOG_PARAMETER, INVALID, 4),
        (Op.LOG_METRIC, None, 1),
    ]
    assert (totals.groups[0].sample, totals.groups[0].last) == (newest.letter_id, newest.buried_at)
    assert totals.groups[0].first < totals.groups[0].last
    assert letters.totals(LetterFilter(client="b")).by_reason == {"refused": 1}
    assert letters.totals(LetterFilter(client="c")).groups == []


def test_only_the_newest_letters_are_grouped_and_all_are_counted(
    outbox: RedisOutbox, letters: RedisDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.redis_store.dead_letters._MAX_GROUPED", 2)
    for step in range(5):
        bury(outbox, metric(step))

    totals = letters.totals(ALL)

    assert (totals.count, totals.groups[0].count, totals.sampled) == (5, 2, True)


def test_letters_are_summarised_by_their_ids_in_their_order(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for number in range(3):
        bury(outbox, metric(1, run_id=f"{number:032x}"))
    first, second, third = letters.find(ALL, after=None, limit=9).letter_ids

    found = letters.summaries([third, "x", first, f"{RUN}.1", second])

    assert [letter and letter.letter_id for letter in found] == [third, None, first, None, second]
    assert letters.summaries([]) == []


def test_the_writes_that_a_lane_accepted_later_are_counted(
    outbox: RedisOutbox, letters: RedisDeadLetters, client: Any
) -> None:
    bury(outbox, metric(1))
    [letter_id] = letters.find(ALL, after=None, limit=9).letter_ids
    job = letters.job(letter_id)
    assert job
    assert letters.later_writes(job) == 0
    for step in range(3):
        accept_one(outbox, metric(step), client="b")
    assert letters.later_writes(job) == 3
    claim = wait_until(lambda: outbox.claim(RUN, lease=LEASE), every=0.005)
    outbox.settle(claim, Settlement(count=2, attempts=1, status=200), lease=LEASE)
    assert letters.later_writes(job) == 3
    # The lane was forgotten and has begun again, at a later time: what it held before is not known.
    accepted = int(client.hget(keys.lane_state(RUN), "accepted"))
    client.hset(keys.lane_state(RUN), mapping={"accepted": accepted + 10**10, "settled": accepted + 10**10 - 1})
    client.delete(keys.settled(RUN))
    assert letters.later_writes(job) == 1


def test_a_letter_holds_its_body_as_text_with_every_digit(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    bury(outbox, metric(9223372036854775807, value=1))
    [letter_id] = letters.find(ALL, after=None, limit=9).letter_ids

    letter = letters.letter(letter_id)

    assert letter
    assert letter.write.body_text == bytes(letter.write.body).decode()
    assert '"step":9223372036854775807' in (letter.write.body_text or "")


@pytest.mark.parametrize("request_id", ["night-1:7", "0123456789abcdef"])
def test_a_request_is_found_while_its_writes_are_pending_or_dead(
    outbox: RedisOutbox, search: RedisJobSearch, request_id: str
) -> None:
    trace_context = trace_context_of(request_id, None)
    other = f"{7:032x}"
    outbox.accept_all([Offer(write=metric(1), client="a", trace_context=trace_context)])
    claim = wait_until(lambda: outbox.claim(RUN, lease=LEASE), every=0.005)
    outbox.settle(claim, Settlement(count=1, attempts=1, dead_lettering=EXPIRED), lease=LEASE)
    outbox.accept_all([Offer(write=metric(2, run_id=other), client="a", trace_context=trace_context)])
    accept_one(outbox, metric(3, run_id=other), client="a")

    found = search.by_request(request_id, client="a")
    documents = [outbox.job(job_id, client="a") for job_id in found]

    assert [(job.lane, job.status) for job in documents if job] == [(other, "pending"), (RUN, "dead")]
    assert search.by_request(request_id, client=None) == found
    assert search.by_request(request_id, client="b") == search.by_request("another", client=None) == []


def test_a_job_is_found_by_its_idempotency_key_while_it_is_pending_or_dead(
    outbox: RedisOutbox, search: RedisJobSearch
) -> None:
    keyed = Idempotency(key="night 1", fingerprint=b"f" * 16)
    accept_one(outbox, metric(0), client="a")
    job_id = accept_one(outbox, metric(1), client="a", idempotency=keyed).job_id
    accept_one(outbox, metric(2), client="a")

    while_pending = search.by_idempotency_key("night 1", client="a")
    claim = wait_until(lambda: outbox.claim(RUN, lease=LEASE), every=0.005)
    outbox.settle(claim, Settlement(count=3, attempts=1, dead_lettering=EXPIRED), lease=LEASE)

    assert while_pending == search.by_idempotency_key("night 1", client="a") == [job_id]
    assert search.by_idempotency_key("night 1", client="b") == search.by_idempotency_key("day", client="a") == []
