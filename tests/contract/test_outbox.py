# SPDX-License-Identifier: Apache-2.0
"""What `bridge.outbox` promises."""

import datetime as dt
import select
import time
from typing import Any

import pytest

from bridge.errors import LeaseLost, StoreUnavailable
from bridge.outbox import Accepted, Attempt, Claim, DeadLettering, DeadLetterReason, Offer, Settlement
from bridge.redis_store import keys
from bridge.redis_store.outbox import RedisOutbox, connect
from schemas.idempotency import Idempotency, KeyReused, read_idempotency
from schemas.job import JobStatus, UpstreamAnswer
from schemas.write import Op, Write
from tests.dying import lose_first_results
from tests.factories import RUN, accept_one, metric, param, tag
from tests.fakes import FakeStore
from tests.servers import wait_until

LEASE = dt.timedelta(seconds=30)
NOW = dt.timedelta()
SHORT = dt.timedelta(milliseconds=20)
DOWN = Attempt(writes=1, reason="unavailable", message="down")


def accept(outbox: RedisOutbox, *writes: Write) -> list[str]:
    return [accept_one(outbox, write, client="a").job_id for write in writes]


def claimed(outbox: RedisOutbox, lane: str = RUN, lease: dt.timedelta = LEASE) -> Claim:
    claim = outbox.claim(lane, lease=lease)
    assert claim
    return claim


def claimed_when_due(outbox: RedisOutbox) -> Claim:
    claim = wait_until(lambda: outbox.claim(RUN, lease=LEASE), every=0.005)
    assert isinstance(claim, Claim)
    return claim


def delivered(count: int) -> Settlement:
    return Settlement(count=count, attempts=1, status=200, request_id="r")


def steps(claim: Claim | None) -> list[bytes]:
    return [job.write.metrics.json for job in claim.jobs] if claim else []


def written(*numbers: int) -> list[bytes]:
    return [metric(number).metrics.json for number in numbers]


def test_a_claim_returns_what_was_accepted_in_order(outbox: RedisOutbox) -> None:
    writes = [metric(1), param("p", "v"), tag("t", "v"), metric(2, key="é", model_id="m")]
    accept(outbox, *writes)

    claim = claimed(outbox)

    assert [job.write for job in claim.jobs] == writes
    positions = [job.position for job in claim.jobs]
    assert positions == list(range(claim.settled + 1, claim.settled + 5))
    assert {job.client for job in claim.jobs} == {"a"}


def test_only_the_first_write_finds_the_lane_idle(outbox: RedisOutbox) -> None:
    found_idle = [accept_one(outbox, metric(step), client="a").was_idle for step in range(3)]

    assert found_idle == [True, False, False]


def test_a_claimed_lane_is_nobody_elses(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1))
    claimed(outbox)

    assert outbox.claim(RUN, lease=LEASE) is None


def test_an_empty_lane_can_not_be_claimed(outbox: RedisOutbox) -> None:
    assert outbox.claim(RUN, lease=LEASE) is None


def test_settled_jobs_leave_the_lane_and_what_came_meanwhile_is_returned(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1), metric(2))
    claim = claimed(outbox)
    accept(outbox, metric(3))

    following = outbox.settle(claim, delivered(2), lease=LEASE)

    assert steps(following) == written(3)


def test_a_lane_that_is_settled_empty_is_idle_again(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1))

    left = outbox.settle(claimed(outbox), delivered(1), lease=LEASE)

    assert left is None
    assert outbox.backlog().lanes == 0
    assert accept_one(outbox, metric(2), client="a").was_idle


def test_positions_go_on_growing_when_a_lane_was_forgotten(outbox: RedisOutbox, client: Any) -> None:
    accept(outbox, metric(1))
    first = claimed(outbox)
    outbox.settle(first, delivered(1), lease=LEASE)
    client.delete(keys.lane_state(RUN), keys.settled(RUN))

    accept(outbox, metric(2))

    assert claimed(outbox).settled > first.settled


def test_what_a_claim_returned_is_returned_again_exactly_after_its_lease(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1), metric(2))
    lost = claimed(outbox, lease=SHORT)
    accept(outbox, metric(3))

    again = claimed_when_due(outbox)

    assert again.jobs == lost.jobs
    assert steps(outbox.settle(again, delivered(2), lease=LEASE)) == written(3)


def test_who_lost_the_lease_changes_nothing(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1), metric(2))
    lost = claimed(outbox, lease=SHORT)
    winner = claimed_when_due(outbox)

    with pytest.raises(LeaseLost):
        outbox.settle(lost, delivered(1), lease=LEASE)
    with pytest.raises(LeaseLost):
        outbox.release(lost, after=NOW)

    assert outbox.settle(winner, delivered(2), lease=LEASE) is None


def test_a_settlement_that_is_repeated_settles_once(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1), metric(2), metric(3))
    claim = claimed(outbox)

    first = outbox.settle(claim, delivered(1), lease=LEASE)
    repeated = outbox.settle(claim, delivered(1), lease=LEASE)

    assert steps(first) == steps(repeated) == written(2, 3)


def test_sent_offers_are_accepted_and_their_descriptor_becomes_readable(outbox: RedisOutbox, client: Any) -> None:
    sent = outbox.send([Offer(write=metric(step), client="a") for step in range(3)])
    # A store in memory has no descriptor that could be watched.
    if sent.descriptor is not None and not isinstance(client, FakeStore):
        assert select.select([sent.descriptor], [], [], sent.timeout_s)[0]

    verdicts = sent.verdicts()

    assert [isinstance(verdict, Accepted) for verdict in verdicts] == [True] * 3
    assert steps(claimed(outbox)) == written(0, 1, 2)


def test_offers_that_are_abandoned_and_repeated_are_stored_once(outbox: RedisOutbox) -> None:
    offers = [Offer(write=metric(step), client="a") for step in range(3)]
    outbox.send(offers).abandon()

    verdicts = outbox.accept_all(offers, repeated=True)

    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert steps(claimed(outbox)) == written(0, 1, 2)


def test_an_accept_that_is_repeated_after_a_broken_connection_is_stored_once(
    outbox: RedisOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(outbox, metric(1))
    lose_first_results(outbox._scripts.accept, monkeypatch)  # noqa: SLF001 - the wire is what breaks here
    repeated = accept_one(outbox, metric(2), client="a")
    monkeypatch.undo()

    claim = claimed(outbox)
    assert steps(claim) == written(1, 2)
    document = outbox.job(repeated.job_id, client="a")
    assert document
    assert document.status is JobStatus.PENDING
    outbox.settle(claim, delivered(1), lease=LEASE)
    assert outbox.job(repeated.job_id, client="a") == document


def test_a_released_lane_comes_back_when_it_is_due(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1))
    outbox.release(claimed(outbox), after=SHORT * 20, attempt=DOWN)

    too_early = outbox.claim(RUN, lease=LEASE)
    claim = claimed_when_due(outbox)

    assert too_early is None
    assert claim.attempts == 1


def test_a_thawed_release_lets_the_next_call_grow_and_a_frozen_one_does_not(outbox: RedisOutbox) -> None:
    accept(outbox, metric(1))
    outbox.release(claimed(outbox), after=NOW, attempt=DOWN, thaw=False)
    accept(outbox, metric(2))

    frozen = claimed(outbox)
    outbox.release(frozen, after=NOW, attempt=DOWN)
    thawed = claimed(outbox)

    assert steps(frozen) == written(1)
    assert steps(thawed) == written(1, 2)


def test_due_lanes_are_listed_once_a_period(outbox: RedisOutbox) -> None:
    lanes = [f"{number:032x}" for number in range(40)]
    accept(outbox, *(metric(1, run_id=lane) for lane in lanes))
    claimed(outbox, lanes[0])

    found = outbox.due(limit=100, guard=dt.timedelta(minutes=1))
    again = outbox.due(limit=100, guard=dt.timedelta(minutes=1))

    assert sorted(each.lane for each in found) == lanes[1:]
    assert {each.client for each in found} == {"a"}
    assert again == []


def test_no_more_due_lanes_are_listed_than_asked_for(outbox: RedisOutbox) -> None:
    accept(outbox, *(metric(1, run_id=f"{number:032x}") for number in range(40)))

    assert len(outbox.due(limit=7, guard=SHORT)) == 7


def test_a_lane_behind_hundreds_of_another_client_is_found(outbox: RedisOutbox) -> None:
    offers = [Offer(write=metric(1, run_id=f"{number:032x}"), client="greedy") for number in range(800)]
    outbox.accept_all(offers)
    accept_one(outbox, metric(1, run_id="f" * 32), client="other")

    def sweep() -> bool:
        return any(each.client == "other" for each in outbox.due(limit=320, guard=dt.timedelta(milliseconds=1)))

    # Ten of a partition's 50 are looked at beside those at its head. A store in memory takes a second for it.
    wait_until(sweep, timeout=60, every=0.002)


def test_a_job_is_pending_then_delivered(outbox: RedisOutbox) -> None:
    (job_id,) = accept(outbox, metric(1))
    pending = outbox.job(job_id, client="a")
    outbox.settle(claimed(outbox), delivered(1), lease=LEASE)
    settled = outbox.job(job_id, client="a")

    assert pending
    assert (pending.status, pending.attempts, pending.settled_at) == (JobStatus.PENDING, 0, None)
    assert settled
    assert (settled.status, settled.attempts) == (JobStatus.DELIVERED, 1)
    assert settled.settled_at
    assert settled.settled_at >= settled.accepted_at
    assert settled.upstream
    assert settled.upstream.request_id == "r"


def test_each_job_of_many_calls_finds_its_own_outcome(outbox: RedisOutbox) -> None:
    jobs = accept(outbox, *(metric(step) for step in range(60)))
    claim: Claim | None = claimed(outbox)
    for call in range(20):
        assert claim
        settlement = Settlement(count=3, attempts=call + 1, status=200, request_id=f"r{call}")
        claim = outbox.settle(claim, settlement, lease=LEASE)

    documents = [outbox.job(job_id, client="a") for job_id in jobs]

    assert [document.attempts for document in documents if document] == [1 + step // 3 for step in range(60)]


def test_a_refused_job_is_dead_with_upstreams_words_and_its_neighbours_are_not(outbox: RedisOutbox) -> None:
    jobs = accept(outbox, metric(1), param("p", "2"), metric(3))
    claim = outbox.settle(claimed(outbox), delivered(1), lease=LEASE)
    assert claim
    answer = UpstreamAnswer(status=400, error_code="INVALID_PARAMETER_VALUE", message="no", request_id="x")
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="no", answer=answer)
    dead_lettered = Settlement(count=1, attempts=2, status=400, request_id="x", dead_lettering=dead_lettering)
    claim = outbox.settle(claim, dead_lettered, lease=LEASE)
    assert claim
    outbox.settle(claim, delivered(1), lease=LEASE)

    first, dead, last = (outbox.job(job_id, client="a") for job_id in jobs)

    assert first
    assert dead
    assert last
    assert (first.status, last.status) == (JobStatus.DELIVERED, JobStatus.DELIVERED)
    assert (dead.status, dead.attempts) == (JobStatus.DEAD, 2)
    assert dead.upstream
    assert (dead.upstream.error_code, dead.upstream.message) == ("INVALID_PARAMETER_VALUE", "no")
    assert dead.error
    assert dead.error.reason == "refused"


def test_a_job_answers_only_to_the_client_that_made_it(outbox: RedisOutbox) -> None:
    (job_id,) = accept(outbox, metric(1))

    assert outbox.job(job_id, client="b") is None
    assert outbox.job(job_id[:-1] + ("A" if job_id[-1] != "A" else "B"), client="a") is None


def test_a_failed_attempt_shows_in_the_job(outbox: RedisOutbox) -> None:
    (job_id,) = accept(outbox, metric(1))
    attempt = Attempt(writes=1, reason="unavailable", message="status 503: with: colons")
    outbox.release(claimed(outbox), after=LEASE, attempt=attempt)

    document = outbox.job(job_id, client="a")

    assert document
    assert document.attempts == 1
    assert document.error
    assert (document.error.reason, document.error.message) == ("unavailable", "status 503: with: colons")
    assert document.next_attempt_at
    assert document.next_attempt_at > document.accepted_at


def test_a_claim_is_bounded_by_the_size_of_one_call(outbox: RedisOutbox) -> None:
    accept(outbox, *(metric(step) for step in range(1005)))
    long = [metric(step, run_id=f"{7:032x}", dataset_name="x" * 400_000, dataset_digest="d") for step in range(5)]
    accept(outbox, *long)

    assert len(claimed(outbox).jobs) == 1000
    assert len(claimed(outbox, f"{7:032x}").jobs) == 3


def test_a_drained_lane_is_forgotten_after_the_retention_and_a_busy_one_never(outbox: RedisOutbox, client: Any) -> None:
    accept(outbox, metric(1))
    outbox.settle(claimed(outbox), delivered(1), lease=LEASE)
    drained = [client.pttl(key) for key in (keys.lane_state(RUN), keys.settled(RUN))]

    accept(outbox, metric(2))
    busy = [client.pttl(key) for key in (keys.lane_state(RUN), keys.settled(RUN))]

    assert all(0 < left <= 3_600_000 for left in drained)
    assert busy == [-1, -1]


def test_old_outcomes_leave_the_log_of_a_busy_lane(client: Any) -> None:
    outbox = RedisOutbox(client, retention=SHORT, idempotency_ttl=LEASE)
    jobs = accept(outbox, *(metric(step) for step in range(6)))
    claim: Claim | None = claimed(outbox)
    for _ in range(4):
        assert claim
        claim = outbox.settle(claim, delivered(1), lease=LEASE)
    # The age of a record is told by the store's clock, which shows in nothing that could be waited for.
    time.sleep(0.03)
    assert claim
    outbox.settle(claim, delivered(1), lease=LEASE)

    assert client.llen(keys.settled(RUN)) <= 2
    assert outbox.job(jobs[0], client="a") is None


@pytest.mark.parametrize("lane", [RUN, "run-with-{braces}", "é"])
def test_every_key_of_a_lane_lies_in_the_slot_of_its_partition(lane: str) -> None:
    number = keys.partition(lane)
    every = {keys.lane_state(lane), keys.writes(lane), keys.settled(lane), keys.ready(number), keys.dead(number)}

    assert {key.split("{", 1)[1].split("}", 1)[0] for key in every} == {f"p{number:02}"}


def test_workers_that_report_are_counted(outbox: RedisOutbox) -> None:
    outbox.report_worker("a")
    outbox.report_worker("b")
    outbox.report_worker("a")

    assert outbox.workers() == 2


def test_a_store_that_is_not_there_is_unavailable() -> None:
    nowhere = RedisOutbox(
        connect("unix:///nowhere.sock", timeout=LEASE, connections=1), retention=LEASE, idempotency_ttl=LEASE
    )

    with pytest.raises(StoreUnavailable):
        accept_one(nowhere, metric(1), client="a")
    with pytest.raises(StoreUnavailable):
        nowhere.claim(RUN, lease=LEASE)


def request(key: str, body: bytes = b"{}") -> Idempotency:
    idempotency = read_idempotency(key, Op.LOG_METRIC, body, None)
    assert idempotency
    return idempotency


def test_a_repeat_of_a_request_is_its_first_job_even_after_delivery(outbox: RedisOutbox) -> None:
    first = accept_one(outbox, metric(1), client="a", idempotency=request("k"))
    pending = accept_one(outbox, metric(1), client="a", idempotency=request("k"))
    claim = claimed(outbox)
    outbox.settle(claim, delivered(1), lease=LEASE)
    after = accept_one(outbox, metric(1), client="a", idempotency=request("k"))

    assert len(claim.jobs) == 1
    assert (first.replayed, pending.replayed, after.replayed) == (False, True, True)
    assert first.job_id == pending.job_id == after.job_id
    assert outbox.backlog().lanes == 0


def test_a_key_stands_for_one_request_of_one_client(outbox: RedisOutbox) -> None:
    accept_one(outbox, metric(1), client="a", idempotency=request("k"))

    for number in range(20):
        with pytest.raises(KeyReused):
            accept_one(outbox, metric(1, run_id=f"{number:032x}"), client="a", idempotency=request("k", b"other"))
    other = accept_one(outbox, metric(1), client="b", idempotency=request("k", b"other"))

    assert not other.replayed


def test_a_key_is_forgotten_after_its_time(client: Any) -> None:
    outbox = RedisOutbox(client, retention=LEASE, idempotency_ttl=SHORT)
    accept_one(outbox, metric(1), client="a", idempotency=request("k"))
    wait_until(lambda: not client.keys("*idempotency*"))

    again = accept_one(outbox, metric(2), client="a", idempotency=request("k", b"other"))

    assert not again.replayed
    assert len(claimed(outbox).jobs) == 2
