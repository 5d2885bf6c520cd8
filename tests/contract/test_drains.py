# SPDX-License-Identifier: Apache-2.0
"""Many letters are drained bit by bit, at the rate that was asked for, whoever stops in the middle."""

import datetime as dt
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bridge.events import DeadLettersDrained, DeadLettersExpired
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from bridge.outbox.dead_letters import DeadLetterService
from bridge.redis_store import keys
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.drain_log import RedisDrainLog
from bridge.redis_store.outbox import RedisOutbox
from schemas.dead_letter import LetterFilter
from schemas.drain import Drain, DrainAction, DrainState
from schemas.job import JobStatus
from schemas.write import Op
from tests.factories import accept_one, metric
from tests.fakes import Events, FakeClock, FakeDispatch
from tests.servers import wait_until

LEASE = dt.timedelta(seconds=30)
SECOND = dt.timedelta(seconds=1)
ALL = LetterFilter()


@dataclass
class Dead:
    """Letters of five runs, and a worker that drains them."""

    outbox: RedisOutbox
    dead_letters: DeadLetterService
    clock: FakeClock
    dispatch: FakeDispatch
    events: Events
    jobs: list[str] = field(default_factory=list)
    lanes: list[str] = field(default_factory=list)

    def dead_letter(self, count: int) -> None:
        """Bury so many writes, spread over the runs, by whole lanes."""
        for number in range(5):
            lane = f"{number:032x}"
            self.lanes.append(lane)
            for step in range(count // 5):
                self.jobs.append(accept_one(self.outbox, metric(step, run_id=lane), client="a").job_id)
            claim = self.outbox.claim(lane, lease=LEASE)
            assert claim
            dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message="down")
            self.outbox.settle(
                claim, Settlement(count=len(claim.jobs), attempts=1, dead_lettering=dead_lettering), lease=LEASE
            )
        # Whoever orders a drain now means these letters and none that dies later.
        self.clock.time = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=2)
        wait_until(lambda: dt.datetime.now(dt.UTC) > self.clock.time, every=0.001)

    def count(self) -> int:
        return self.dead_letters.letters.count(ALL)

    def tick(self) -> None:
        """What a worker does once a period; any worker, so nothing is kept in memory between two ticks."""
        for key in self.dead_letters.log._client.scan_iter("*:guard"):  # type: ignore[attr-defined] # noqa: SLF001
            self.dead_letters.log._client.delete(key)  # type: ignore[attr-defined] # noqa: SLF001
        self.clock.pass_(SECOND)
        replace(self.dead_letters).tick()

    def state(self, drain: Drain) -> Drain:
        found = self.dead_letters.log.drain(drain.drain_id)
        assert found
        return found

    def pending_steps(self, lane: str) -> list[int]:
        claim = self.outbox.claim(lane, lease=LEASE)
        return [json.loads(job.write.metrics.json).get("step", 0) for job in claim.jobs] if claim else []


@pytest.fixture
def dead(outbox: RedisOutbox, letters: RedisDeadLetters, log: RedisDrainLog) -> Dead:
    clock, dispatch, events = FakeClock(dt.datetime.now(dt.UTC)), FakeDispatch(), Events()
    draining = DeadLetterService(
        letters=letters,
        log=log,
        dispatch=dispatch,
        observe=events,
        clock=clock,
        period=SECOND,
        retention=None,
    )
    return Dead(outbox, draining, clock, dispatch, events)


def test_all_letters_of_a_filter_are_replayed_in_the_order_of_their_lanes(dead: Dead) -> None:
    dead.dead_letter(50)

    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=50)
    dead.tick()

    assert (dead.state(drain).state, dead.state(drain).done) == (DrainState.FINISHED, 50)
    assert dead.count() == 0
    assert [dead.pending_steps(lane) for lane in dead.lanes] == [list(range(10))] * 5
    assert set(dead.dispatch.lanes) == set(dead.lanes)
    assert sum(event.letters for event in dead.events.of(DeadLettersDrained)) == 50


def test_a_rate_is_kept_whoever_goes_on(dead: Dead) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=7, total=50)

    done = []
    for _ in range(4):
        dead.tick()
        done.append(dead.state(drain).done)

    assert done == [7, 14, 21, 28]
    assert dead.count() == 22


def test_a_rate_of_less_than_one_a_second_adds_up(dead: Dead) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=0.5, total=50)

    for _ in range(6):
        dead.tick()

    assert dead.state(drain).done == 3


def test_no_part_of_a_rate_is_lost_between_two_ticks(dead: Dead) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=1.9, total=50)

    for _ in range(20):
        dead.tick()

    # 38, but for what rounding to microseconds takes.
    assert 37 <= dead.state(drain).done <= 38


def test_a_worker_that_dies_in_the_middle_costs_nothing(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some letters were replayed and the progress was not noted."""
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=50)
    replay, deaths = dead.dead_letters.letters.replay, iter([20])

    class Died(BaseException):
        pass

    def dies_at_the_twentieth(letter_id: str) -> Any:
        if dead.count() == 50 - 20 and next(deaths, None):
            raise Died
        return replay(letter_id)

    monkeypatch.setattr(dead.dead_letters.letters, "replay", dies_at_the_twentieth)
    with pytest.raises(Died):
        dead.tick()
    monkeypatch.undo()
    dead.tick()

    assert dead.state(drain).state is DrainState.FINISHED
    assert [dead.pending_steps(lane) for lane in dead.lanes] == [list(range(10))] * 5


def test_what_dies_again_is_not_taken_twice(dead: Dead) -> None:
    dead.dead_letter(10)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=4, total=10)
    dead.tick()
    for lane in dead.lanes:
        claim = dead.outbox.claim(lane, lease=LEASE)
        if claim:
            dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
            dead.outbox.settle(
                claim, Settlement(count=len(claim.jobs), attempts=1, dead_lettering=dead_lettering), lease=LEASE
            )
    for _ in range(3):
        dead.tick()

    assert (dead.state(drain).done, dead.state(drain).state) == (10, DrainState.FINISHED)
    assert dead.count() == 4


def test_a_cancelled_drain_stops(dead: Dead) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.DISCARD, ALL, rate=5, total=50)
    dead.tick()

    assert dead.dead_letters.log.cancel(drain.drain_id)
    assert not dead.dead_letters.log.cancel(drain.drain_id)
    dead.tick()

    assert (dead.state(drain).state, dead.state(drain).done) == (DrainState.CANCELLED, 5)
    assert dead.count() == 45


def test_each_drain_is_given_to_one_worker_a_period(dead: Dead) -> None:
    dead.dead_letter(5)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=1, total=5)

    first = dead.dead_letters.log.due(guard=SECOND * 60)
    second = dead.dead_letters.log.due(guard=SECOND * 60)

    assert [due.drain.drain_id for due in first] == [drain.drain_id]
    assert second == []


def test_all_letters_of_a_filter_are_discarded_and_no_others(dead: Dead) -> None:
    dead.dead_letter(50)
    wanted = LetterFilter(run_id=dead.lanes[2])

    dead.dead_letters.order(DrainAction.DISCARD, wanted, rate=None, total=10)
    dead.tick()

    documents = [dead.outbox.job(job_id, client="a") for job_id in dead.jobs]
    statuses = [document.status for document in documents if document]
    assert statuses == [JobStatus.DEAD] * 20 + [JobStatus.DISCARDED] * 10 + [JobStatus.DEAD] * 20


def test_letters_are_kept_for_ever_unless_the_operator_says_otherwise(dead: Dead) -> None:
    dead.dead_letter(10)
    dead.clock.pass_(dt.timedelta(days=10_000))
    dead.tick()
    kept = dead.count()
    dead.dead_letters = replace(dead.dead_letters, retention=dt.timedelta(days=30))
    dead.tick()

    assert kept == 10
    assert dead.count() == 0
    assert [event.letters for event in dead.events.of(DeadLettersExpired)] == [10]


def test_what_is_no_drain_is_not_found(dead: Dead) -> None:
    assert dead.dead_letters.log.drain(secrets.token_hex(8)) is None
    assert not dead.dead_letters.log.cancel(secrets.token_hex(8))


def test_a_new_rate_holds_from_the_next_period_on(dead: Dead) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=2, total=50)
    done = []
    for rate in (2, 10, None):
        changed = dead.dead_letters.log.change_rate(drain.drain_id, rate)
        assert changed
        assert changed.rate == rate
        dead.tick()
        done.append(dead.state(drain).done)

    assert done == [2, 12, 50]
    assert dead.state(drain).rate is None
    assert dead.dead_letters.log.change_rate(drain.drain_id, 5) is None
    assert dead.dead_letters.log.change_rate("nosuch", 5) is None


def test_a_worker_stops_in_its_period_when_the_rate_is_lowered(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.outbox.dead_letters._CHUNK_LETTERS", 5)
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=50)
    replay = dead.dead_letters.letters.replay

    def lowers_the_rate(letter_id: str) -> Any:
        dead.dead_letters.log.change_rate(drain.drain_id, 1)
        return replay(letter_id)

    monkeypatch.setattr(dead.dead_letters.letters, "replay", lowers_the_rate)
    dead.tick()

    assert dead.state(drain).done == 5
    dead.tick()
    assert dead.state(drain).done == 6


def test_what_was_under_way_when_a_drain_was_cancelled_is_counted(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=50)
    replay = dead.dead_letters.letters.replay

    def is_cancelled(letter_id: str) -> Any:
        dead.dead_letters.log.cancel(drain.drain_id)
        return replay(letter_id)

    monkeypatch.setattr(dead.dead_letters.letters, "replay", is_cancelled)
    dead.tick()
    dead.tick()

    found = dead.state(drain)
    assert found.state is DrainState.CANCELLED
    assert 0 < found.done == 50 - dead.count()


def test_a_slow_store_does_not_keep_a_worker_beyond_its_period(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    dead.dead_letter(50)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=50)
    replay = dead.dead_letters.letters.replay

    def takes_60_ms(letter_id: str) -> Any:
        dead.clock.pass_(SECOND * 0.06)
        return replay(letter_id)

    monkeypatch.setattr(dead.dead_letters.letters, "replay", takes_60_ms)
    began_at = dead.clock.monotonic()
    dead.tick()

    # A tick begins by letting a second pass.
    assert dead.clock.monotonic() - began_at - SECOND < SECOND
    assert 0 < dead.state(drain).done < 50
    while dead.state(drain).state is DrainState.RUNNING:
        dead.tick()
    assert (dead.state(drain).done, dead.state(drain).skipped) == (50, 0)


def test_drains_are_listed_newest_first_with_who_ordered_them(dead: Dead) -> None:
    dead.dead_letter(10)
    log = dead.dead_letters.log
    first = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=1, total=10, ordered_by="anna")
    dead.clock.pass_(SECOND)
    wanted = LetterFilter(op=Op.LOG_METRIC)
    second = dead.dead_letters.order(DrainAction.DISCARD, wanted, rate=None, total=10, ordered_by="ben")
    assert log.cancel(first.drain_id)
    dead.tick()

    drains = log.drains(state=None, limit=10)

    assert [(each.drain_id, each.ordered_by, each.state) for each in drains] == [
        (second.drain_id, "ben", DrainState.FINISHED),
        (first.drain_id, "anna", DrainState.CANCELLED),
    ]
    assert all(each.finished_at for each in drains)
    assert log.drains(state=DrainState.FINISHED, limit=10) == drains[:1]
    assert log.drains(state=DrainState.RUNNING, limit=10) == []
    assert log.drains(state=None, limit=1) == drains[:1]


def test_what_others_drained_first_is_counted_as_skipped(dead: Dead) -> None:
    dead.dead_letter(10)
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=None, total=10)
    for letter_id in dead.dead_letters.letters.find(ALL, after=None, limit=3).letter_ids:
        dead.dead_letters.letters.discard(letter_id)
    dead.tick()

    found = dead.state(drain)

    assert (found.state, found.done, found.skipped) == (DrainState.FINISHED, 7, 3)


def test_a_drain_of_one_cause_takes_no_other_letters(dead: Dead) -> None:
    dead.dead_letter(10)
    for wanted in (LetterFilter(op=Op.SET_TAG), LetterFilter(error_code="NO_SUCH_CODE")):
        dead.dead_letters.order(DrainAction.DISCARD, wanted, rate=None, total=0)
    dead.tick()
    assert dead.count() == 10

    drain = dead.dead_letters.order(DrainAction.REPLAY, LetterFilter(op=Op.LOG_METRIC), rate=None, total=10)
    dead.tick()

    assert (dead.state(drain).done, dead.count()) == (10, 0)


def test_a_release_that_can_not_read_an_order_does_not_come_upon_it(dead: Dead) -> None:
    client = dead.dead_letters.log._client  # type: ignore[attr-defined] # noqa: SLF001
    drain = dead.dead_letters.order(DrainAction.REPLAY, LetterFilter(op=Op.LOG_METRIC), rate=1, total=1)
    assert client.zrange(keys.ACTIVE_DRAINS, 0, -1) == []

    # It cancels a drain by its id, without knowing of the set that the drain is in.
    client.hset(keys.drain(drain.drain_id), "state", DrainState.CANCELLED)

    assert dead.dead_letters.log.due(guard=SECOND) == []
    assert client.zrange(keys.ACTIVE_DRAINS_BY_CAUSE, 0, -1) == []


def test_drains_that_an_earlier_release_began_are_listed_while_they_run(dead: Dead) -> None:
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=1, total=1)
    client = dead.dead_letters.log._client  # type: ignore[attr-defined] # noqa: SLF001
    client.delete(keys.DRAINS)

    assert [each.drain_id for each in dead.dead_letters.log.drains(state=None, limit=9)] == [drain.drain_id]


def test_a_drain_that_is_forgotten_leaves_the_list(dead: Dead) -> None:
    drain = dead.dead_letters.order(DrainAction.REPLAY, ALL, rate=1, total=1)
    client, log = dead.dead_letters.log._client, dead.dead_letters.log  # type: ignore[attr-defined] # noqa: SLF001
    log.cancel(drain.drain_id)
    assert 0 < client.ttl(keys.drain(drain.drain_id)) <= 7 * 86_400
    client.delete(keys.drain(drain.drain_id))

    assert log.drains(state=None, limit=9) == []
    assert client.zcard(keys.DRAINS) == 0
