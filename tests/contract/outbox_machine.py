# SPDX-License-Identifier: Apache-2.0
"""A model of the outbox that hypothesis runs beside the real one: what is accepted, and where each write is now."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.errors import LeaseLost, OverCap
from bridge.outbox import Attempt, Caps, Claim, DeadLettering, DeadLetterReason, Settlement
from bridge.redis_store import keys
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.outbox import RedisOutbox
from schemas.dead_letter import LetterFilter
from schemas.job import JobStatus
from tests.dying import lose_first_results
from tests.factories import accept_one, metric
from tests.unit.lanes import HORIZON

LEASE = dt.timedelta(seconds=60)
NOW = dt.timedelta()
LANE_CAP = 3000
LANES = ["0" * 32, "1" * 32, "2" * 32]
REFUSED = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
lanes = st.sampled_from(LANES)
clients = st.sampled_from(["a", "b"])


@dataclass
class Fate:
    """Where one accepted write is now."""

    lane: str
    step: int
    client: str
    job_id: str
    status: JobStatus = JobStatus.PENDING
    #: How often a valid settlement delivered it.
    delivered: int = 0


class OutboxMachine(RuleBasedStateMachine):
    """Any interleaving of accept, claim, settle, release, the end of a lease, replay and discard."""

    #: Returns an empty store; set by the test.
    make_client: Callable[[], Any]

    @initialize()
    def begin(self) -> None:
        self.client = type(self).make_client()
        caps = Caps(lane=LANE_CAP, client=1 << 40, store=1 << 40)
        self.outbox = RedisOutbox(self.client, retention=HORIZON, idempotency_ttl=HORIZON, caps=caps)
        self.letters = RedisDeadLetters(self.client, fate_ttl=HORIZON)
        self.fates: list[Fate] = []
        #: The pending writes of each lane, in the order in which they must be delivered.
        self.pending: dict[str, list[Fate]] = {lane: [] for lane in LANES}
        self.held: dict[str, Claim | None] = dict.fromkeys(LANES)
        #: Claims whose lease went to another; whoever holds them is a zombie.
        self.lost: list[Claim] = []
        self.dead: dict[str, Fate] = {}
        #: What the last claim of a lane has returned and nobody has settled or thawed.
        self.frozen: dict[str, list[Fate]] = {lane: [] for lane in LANES}

    @rule(lane=lanes, client=clients, broken=st.booleans())
    def accept(self, lane: str, client: str, broken: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        was_idle = not self.pending[lane]
        fate = Fate(lane, len(self.fates), client, "")
        try:
            accepted = self._accept(fate, broken=broken)
        except OverCap:
            assert self.outbox.lane_backlog(lane).bytes > LANE_CAP - 200
            return
        fate.job_id = accepted.job_id
        assert accepted.was_idle is was_idle or broken
        self.fates.append(fate)
        self.pending[lane].append(fate)

    def _accept(self, fate: Fate, *, broken: bool) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            if broken:
                lose_first_results(self.outbox._scripts.accept, patch)  # noqa: SLF001 - the wire is what breaks here
            return accept_one(self.outbox, metric(fate.step, run_id=fate.lane), client=fate.client)

    @rule(lane=lanes)
    def claim(self, lane: str) -> None:
        claim = self.outbox.claim(lane, lease=LEASE)
        if self.held[lane] or not self.pending[lane]:
            assert claim is None, "a claimed lane, or an empty one, was claimed"
            return
        assert claim, "a lane that is due could not be claimed"
        self._holds(lane, claim)

    def _holds(self, lane: str, claim: Claim) -> None:
        """The claim shows what is frozen, exactly, or else all that is pending."""
        expected = self.frozen[lane] or self.pending[lane]
        assert [job.write for job in claim.jobs] == [metric(fate.step, run_id=lane) for fate in expected]
        assert claim.is_resumed is bool(self.frozen[lane])
        self.held[lane] = claim
        self.frozen[lane] = list(expected)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        lane, claim = self._held(data)
        count = data.draw(st.integers(0, len(claim.jobs)))
        dead_lettering = data.draw(st.sampled_from([None, REFUSED])) if count else None
        refused = None if count else Attempt(writes=len(claim.jobs), reason="refused", message="no")
        settlement = Settlement(count=count, attempts=1, status=200, dead_lettering=dead_lettering, refused=refused)
        following = self.outbox.settle(claim, settlement, lease=LEASE)
        for fate, job in zip(self.pending[lane][:count], claim.jobs, strict=False):
            self._settled(fate, f"{lane}.{job.position}", dead_lettered=dead_lettering is not None)
        del self.pending[lane][:count]
        del self.frozen[lane][:count]
        self.held[lane] = None
        assert (following is None) is (not self.pending[lane])
        if following:
            self._holds(lane, following)
            if data.draw(st.booleans()):
                # The answer was lost, so it is settled once more; the jobs may have been sent for all the store knows.
                self._holds(lane, self._settled_again(claim, settlement))

    def _settled_again(self, claim: Claim, settlement: Settlement) -> Claim:
        following = self.outbox.settle(claim, settlement, lease=LEASE)
        assert following
        return following

    def _settled(self, fate: Fate, letter_id: str, *, dead_lettered: bool) -> None:
        fate.status = JobStatus.DEAD if dead_lettered else JobStatus.DELIVERED
        fate.delivered += not dead_lettered
        if dead_lettered:
            self.dead[letter_id] = fate

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data(), thaw=st.booleans(), tried=st.booleans())
    def release(self, data: st.DataObject, thaw: bool, tried: bool) -> None:  # noqa: FBT001
        lane, claim = self._held(data)
        attempt = Attempt(writes=1, reason="unavailable", message="down", failure_kind="failed") if tried else None
        self.outbox.release(claim, after=NOW, attempt=attempt, thaw=thaw)
        self.held[lane] = None
        if thaw:
            self.frozen[lane] = []

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def lease_ends(self, data: st.DataObject) -> None:
        lane, claim = self._held(data)
        self.client.zadd(keys.ready(keys.partition(lane)), {lane: 0})
        self.held[lane] = None
        self.lost.append(claim)

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def zombie(self, data: st.DataObject) -> None:
        """Who lost a lease to another changes nothing; who lost it to nobody may still finish."""
        claim = data.draw(st.sampled_from(self.lost))
        if self.held[claim.lane] is None:
            return
        with pytest.raises(LeaseLost):
            self.outbox.settle(claim, Settlement(count=1, attempts=1, status=200), lease=LEASE)
        with pytest.raises(LeaseLost):
            self.outbox.release(claim, after=NOW)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        letter_id = data.draw(st.sampled_from(sorted(self.dead)))
        replayed = self.letters.replay(letter_id)
        assert replayed
        fate = self.dead.pop(letter_id)
        fate.status = JobStatus.PENDING
        self.pending[fate.lane].append(fate)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        letter_id = data.draw(st.sampled_from(sorted(self.dead)))
        assert self.letters.discard(letter_id)
        self.dead.pop(letter_id).status = JobStatus.DISCARDED

    @invariant()
    def a_lane_is_in_the_ready_set_exactly_if_it_holds_a_write(self) -> None:
        for lane, pending in self.pending.items():
            due = self.client.zscore(keys.ready(keys.partition(lane)), lane)
            assert (due is not None) is bool(pending)
            assert self.outbox.lane_backlog(lane).pending == len(pending)

    @invariant()
    def every_write_is_where_its_job_says(self) -> None:
        for fate in self.fates:
            document = self.outbox.job(fate.job_id, client=fate.client)
            assert document
            assert document.status is fate.status
            assert fate.delivered <= 1

    @invariant()
    def the_letters_are_those_that_were_buried_and_not_drained(self) -> None:
        found = self.letters.find(LetterFilter(), after=None, limit=1000).letter_ids
        assert sorted(found) == sorted(self.dead)

    @invariant()
    def what_is_held_is_what_waits(self) -> None:
        held = [self.client.hgetall(keys.held(number)) for number in range(keys.PARTITIONS)]
        for client in ("a", "b"):
            of_client = sum(int(each.get(f"of:{client}".encode(), 0)) for each in held)
            waits = any(fate.client == client for pending in self.pending.values() for fate in pending)
            assert (of_client > 0) is waits
        total = sum(int(each.get(b"bytes", 0)) for each in held)
        in_lanes = sum(self.outbox.lane_backlog(lane).bytes for lane in LANES)
        assert total == in_lanes + self._bytes_of_letters()
        counted = [each for each in held if each.get(b"counted") == each.get(b"bytes")]
        assert len(counted) == len(held)
        assert sum(int(each.get(b"writes", 0)) for each in held) == sum(map(len, self.pending.values()))

    @invariant()
    def the_oldest_of_each_lane_is_its_first_that_waits(self) -> None:
        told: dict[bytes, float] = {}
        for number in range(keys.PARTITIONS):
            told |= self.client.zrange(keys.oldest(number), 0, -1, withscores=True)
        firsts = {lane: self.client.lindex(keys.writes(lane), 0) for lane in LANES}
        assert told == {lane.encode(): float(first[:13]) for lane, first in firsts.items() if first}

    def _bytes_of_letters(self) -> int:
        stored = [self.client.hvals(keys.dead(number)) for number in range(keys.PARTITIONS)]
        return sum(len(letter) - 13 for letters in stored for letter in letters)

    def _held(self, data: st.DataObject) -> tuple[str, Claim]:
        lane = data.draw(st.sampled_from([lane for lane in LANES if self.held[lane]]))
        claim = self.held[lane]
        assert claim
        return lane, claim
