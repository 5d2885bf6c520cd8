# SPDX-License-Identifier: Apache-2.0
"""What `bridge.outbox.dead_letters.DeadLetters` promises."""

import datetime as dt
import json
from typing import Any

import pytest

from bridge.outbox import Attempt, Claim, DeadLettering, DeadLetterReason, Offer, Settlement
from bridge.outbox.dead_letters import InvalidCursor
from bridge.redis_store import keys
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.outbox import RedisOutbox
from schemas.dead_letter import LetterFilter
from schemas.job import JobStatus, UpstreamAnswer
from schemas.trace_context import trace_context_of
from schemas.write import Write
from tests.factories import RUN, accept_one, metric, param, tag
from tests.servers import wait_until

LEASE = dt.timedelta(seconds=30)
NOW = dt.timedelta()
OTHER = f"{7:032x}"
ALL = LetterFilter()
ANSWER = UpstreamAnswer(status=400, error_code="INVALID_PARAMETER_VALUE", message="no", request_id="x")
REFUSED = DeadLettering(reason=DeadLetterReason.REFUSED, message="no", answer=ANSWER)
EXPIRED = DeadLettering(reason=DeadLetterReason.EXPIRED, message="last attempt: down")
POISON = DeadLettering(reason=DeadLetterReason.POISON, message="ends its worker")


def claimed(outbox: RedisOutbox, lane: str = RUN) -> Claim:
    claim = wait_until(lambda: outbox.claim(lane, lease=LEASE), every=0.005)
    assert isinstance(claim, Claim)
    return claim


def dead_letter(
    outbox: RedisOutbox, *writes: Write, dead_lettering: DeadLettering = REFUSED, client: str = "a"
) -> list[str]:
    """Accept writes of one run, bury them, and return their jobs."""
    jobs = [accept_one(outbox, write, client=client).job_id for write in writes]
    settlement = Settlement(count=len(writes), attempts=1, status=400, dead_lettering=dead_lettering)
    assert outbox.settle(claimed(outbox, writes[0].lane), settlement, lease=LEASE) is None
    return jobs


def ids(letters: RedisDeadLetters, **wanted: Any) -> list[str]:
    return letters.find(LetterFilter(**wanted), after=None, limit=1000).letter_ids


def status(outbox: RedisOutbox, job_id: str) -> JobStatus | None:
    document = outbox.job(job_id, client="a")
    return document.status if document else None


def held(client: Any) -> dict[bytes, int]:
    total: dict[bytes, int] = {}
    for number in range(keys.PARTITIONS):
        for field, value in client.hgetall(keys.held(number)).items():
            total[field] = total.get(field, 0) + int(value)
    return total


def test_a_letter_shows_the_write_every_attempt_and_upstreams_answer(
    outbox: RedisOutbox, letters: RedisDeadLetters
) -> None:
    accept_one(outbox, param("p", "v"), client="a")
    accept_one(outbox, metric(1), client="a")
    down = Attempt(writes=2, reason="unavailable", message="down", status=503)
    outbox.release(claimed(outbox), after=NOW, attempt=down)
    batch = Attempt(writes=2, reason="refused", message="one is bad", status=400, error_code="INVALID_PARAMETER_VALUE")
    claim = outbox.settle(claimed(outbox), Settlement(refused=batch), lease=LEASE)
    assert claim
    outbox.settle(claim, Settlement(count=1, attempts=1, status=400, dead_lettering=REFUSED), lease=LEASE)

    (letter_id,) = ids(letters)
    letter = letters.letter(letter_id)

    assert letter
    assert (letter.run_id, letter.client, letter.reason, letter.message) == (RUN, "a", "refused", "no")
    assert letter.write.path == "/api/2.0/mlflow/runs/log-parameter"
    assert json.loads(bytes(letter.write.body)) == {"run_id": RUN, "key": "p", "value": "v"}
    assert [(attempt.reason, attempt.writes, attempt.status) for attempt in letter.attempts] == [
        ("unavailable", 2, 503),
        ("refused", 2, 400),
        ("refused", 1, 400),
    ]
    assert letter.attempt_count == 3
    assert letter.upstream == ANSWER
    assert letter.accepted_at <= letter.attempts[0].at <= letter.buried_at


def test_a_letter_names_the_request_that_brought_it_also_after_a_replay(
    outbox: RedisOutbox, letters: RedisDeadLetters
) -> None:
    outbox.accept_all([Offer(write=metric(1), client="a", trace_context=trace_context_of("night-1:7", None))])
    for _ in range(2):
        outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, dead_lettering=EXPIRED), lease=LEASE)
        [letter] = letters.page(ALL, after=None, limit=10).letters
        assert letter.request_id == "night-1:7"
        assert letters.replay(letter.letter_id)


def test_attempts_that_carried_only_others_are_not_the_letters(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for step in range(3):
        accept_one(outbox, metric(step), client="a")
    alone = Attempt(writes=1, reason="unavailable", message="down")
    outbox.release(claimed(outbox), after=NOW, attempt=alone)
    outbox.settle(claimed(outbox), Settlement(count=3, attempts=2, dead_lettering=EXPIRED), lease=LEASE)

    found = [letters.letter(letter_id) for letter_id in ids(letters)]

    assert [len(letter.attempts) for letter in found if letter] == [2, 1, 1]


def test_an_attempt_that_carried_more_is_not_forgotten_for_one_that_carried_less(
    outbox: RedisOutbox, letters: RedisDeadLetters
) -> None:
    for step in range(4):
        accept_one(outbox, metric(step), client="a")
    claim: Claim | None = claimed(outbox)
    for size in (4, 2, 1):
        assert claim
        refused = Attempt(writes=size, reason="refused", message="no", status=400)
        settlement = (
            Settlement(refused=refused) if size > 1 else Settlement(count=1, attempts=1, dead_lettering=REFUSED)
        )
        claim = outbox.settle(claim, settlement, lease=LEASE)
    assert claim
    outbox.settle(claim, Settlement(count=3, attempts=1, dead_lettering=REFUSED), lease=LEASE)

    found = [letters.letter(letter_id) for letter_id in ids(letters)]

    assert [[attempt.writes for attempt in letter.attempts] for letter in found if letter] == [
        [4, 2, 1],
        [4, 2, 1],
        [4, 1],
        [4, 1],
    ]


def test_only_the_latest_fifty_attempts_are_kept_and_all_are_counted(
    outbox: RedisOutbox, letters: RedisDeadLetters, client: Any
) -> None:
    accept_one(outbox, metric(1), client="a")
    for number in range(60):
        outbox.release(
            claimed(outbox), after=NOW, attempt=Attempt(writes=1, reason="unavailable", message=f"down {number}")
        )
    claim = claimed(outbox)
    outbox.settle(claim, Settlement(count=1, attempts=claim.attempts + 1, dead_lettering=EXPIRED), lease=LEASE)

    letter = letters.letter(ids(letters)[0])

    assert letter
    assert letter.attempt_count == 61
    assert [attempt.message for attempt in letter.attempts][::50] == ["down 10", "last attempt: down"]
    assert not client.exists(keys.attempts(RUN))


def test_letters_are_filtered_by_reason_run_client_and_time(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    dead_letter(outbox, metric(1), metric(2))
    dead_letter(outbox, metric(1, run_id=OTHER), dead_lettering=EXPIRED, client="b")
    dead_letter(outbox, tag("t", "v"), dead_lettering=POISON)
    when = [letter.buried_at for letter in letters.page(ALL, after=None, limit=10).letters]

    assert when == sorted(when)
    assert len(ids(letters)) == letters.count(ALL) == 4
    assert len(ids(letters, run_id=RUN)) == 3
    assert len(ids(letters, run_id=OTHER)) == len(ids(letters, client="b")) == len(ids(letters, reason="expired")) == 1
    assert len(ids(letters, run_id=RUN, reason="refused")) == letters.count(LetterFilter(reason="refused")) == 2
    assert len(ids(letters, since=when[0])) == 4
    assert ids(letters, until=when[0]) == []
    far = dt.datetime(2300, 1, 1, tzinfo=dt.UTC)
    assert (len(ids(letters, until=far)), len(ids(letters, since=far))) == (4, 0)
    assert ids(letters, since=when[-1] + dt.timedelta(milliseconds=1)) == []


def test_pages_follow_each_other_without_gap_or_repeat(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    for number in range(5):
        dead_letter(outbox, *(metric(step, run_id=f"{number:032x}") for step in range(7)))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = letters.page(ALL, after=cursor, limit=4)
        seen += [letter.letter_id for letter in page.letters]
        # What is gone by the time of the next page does not disturb it.
        letters.discard(page.letters[-1].letter_id) if page.letters else None
        cursor = page.next
        if cursor is None:
            break

    assert len(seen) == len(set(seen)) == 35


@pytest.mark.parametrize("cursor", ["x", "!!!", "YWJj", "é"])
def test_a_cursor_that_no_page_gave_is_refused(letters: RedisDeadLetters, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        letters.page(ALL, after=cursor, limit=1)


def test_a_replay_goes_to_the_end_of_the_lane_and_its_first_job_tells_of_it(
    outbox: RedisOutbox, letters: RedisDeadLetters
) -> None:
    (job_id,) = dead_letter(outbox, metric(1))
    waiting = accept_one(outbox, metric(2), client="a").job_id

    replayed = letters.replay(ids(letters)[0])
    claim = claimed(outbox)

    assert replayed
    assert [job.write for job in claim.jobs] == [metric(2), metric(1)]
    assert ids(letters) == []
    assert [status(outbox, each) for each in (job_id, replayed.job_id, waiting)] == [JobStatus.PENDING] * 3
    outbox.settle(claim, Settlement(count=2, attempts=1, status=200), lease=LEASE)
    assert [status(outbox, each) for each in (job_id, replayed.job_id, waiting)] == [JobStatus.DELIVERED] * 3


def test_a_replay_that_dies_can_be_replayed_again(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    (job_id,) = dead_letter(outbox, metric(1))
    jobs = [job_id]
    for _ in range(3):
        replayed = letters.replay(ids(letters)[0])
        assert replayed
        jobs.append(replayed.job_id)
        outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, dead_lettering=REFUSED), lease=LEASE)
        assert {status(outbox, each) for each in jobs} == {JobStatus.DEAD}
        assert len(ids(letters)) == 1

    letters.replay(ids(letters)[0])
    outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, status=200), lease=LEASE)

    assert {status(outbox, each) for each in jobs} == {JobStatus.DELIVERED}


def test_a_replay_wakes_a_lane_that_was_forgotten(outbox: RedisOutbox, letters: RedisDeadLetters, client: Any) -> None:
    (job_id,) = dead_letter(outbox, metric(1))
    client.delete(keys.lane_state(RUN), keys.settled(RUN))

    letters.replay(ids(letters)[0])

    assert [each.lane for each in outbox.due(limit=10, guard=dt.timedelta(milliseconds=1))] == [RUN]
    outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, status=200), lease=LEASE)
    assert status(outbox, job_id) is JobStatus.DELIVERED


def test_of_two_replays_of_one_letter_one_takes_place(outbox: RedisOutbox, letters: RedisDeadLetters) -> None:
    dead_letter(outbox, metric(1))
    (letter_id,) = ids(letters)

    first, second = letters.replay(letter_id), letters.replay(letter_id)

    assert first
    assert second is None
    assert len(claimed(outbox).jobs) == 1


def test_a_discarded_letter_is_gone_and_its_jobs_say_so(
    outbox: RedisOutbox, letters: RedisDeadLetters, client: Any
) -> None:
    (job_id,) = dead_letter(outbox, metric(1))
    replayed = letters.replay(ids(letters)[0])
    outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, dead_lettering=REFUSED), lease=LEASE)
    (letter_id,) = ids(letters)

    assert letters.discard(letter_id)
    assert not letters.discard(letter_id)

    assert replayed
    assert [status(outbox, each) for each in (job_id, replayed.job_id)] == [JobStatus.DISCARDED] * 2
    assert letters.letter(letter_id) is None
    assert set(held(client).values()) <= {0}


def test_nobody_hears_that_a_discarded_write_was_delivered(
    outbox: RedisOutbox, letters: RedisDeadLetters, client: Any
) -> None:
    (job_id,) = dead_letter(outbox, metric(1))
    (letter_id,) = ids(letters)
    letters.discard(letter_id)
    client.delete(keys.fate(RUN, int(letter_id.rpartition(".")[2])))

    assert outbox.job(job_id, client="a") is None


def test_what_is_held_is_counted_until_nothing_is(outbox: RedisOutbox, letters: RedisDeadLetters, client: Any) -> None:
    accept_one(outbox, metric(1), client="a")
    accept_one(outbox, metric(2), client="b")
    pending = held(client)
    claim = outbox.settle(
        claimed(outbox), Settlement(count=1, attempts=1, status=400, dead_lettering=REFUSED), lease=LEASE
    )
    assert claim
    dead = held(client)
    outbox.settle(claim, Settlement(count=1, attempts=1, status=200), lease=LEASE)
    letters.replay(ids(letters)[0])
    replayed = held(client)
    outbox.settle(claimed(outbox), Settlement(count=1, attempts=1, status=200), lease=LEASE)

    assert pending[b"of:a"] + pending[b"of:b"] == pending[b"bytes"] > 0
    assert set(dead) == {b"of:b", b"bytes", b"writes", b"counted"}
    assert dead[b"bytes"] > dead[b"of:b"]
    assert replayed[b"of:a"] == replayed[b"bytes"]
    assert [each[b"writes"] for each in (pending, dead, replayed)] == [2, 1, 1]
    assert all(each[b"counted"] == each[b"bytes"] for each in (pending, dead, replayed))
    assert held(client) == {b"bytes": 0, b"writes": 0, b"counted": 0}


@pytest.mark.parametrize("letter_id", ["", "x", "x.y", f"{RUN}.1", "a/b.1", "é.1", f"{RUN}.99999999999999999999"])
def test_what_is_no_letter_is_not_found(letters: RedisDeadLetters, letter_id: str) -> None:
    assert letters.letter(letter_id) is None
    assert letters.replay(letter_id) is None
    assert not letters.discard(letter_id)
