# SPDX-License-Identifier: Apache-2.0
"""Delivers the jobs of one lane, in order, one upstream call at a time.

1. Claim the lane, which returns the jobs at its head. Nothing to claim: another worker has it, or it is not due.
2. Merge as many jobs as one call may carry, and send the call once the gate lets it through.
3. Settle what came of it: delivered jobs leave the lane; a refused one becomes a dead letter, and so does one that ends
   its workers. Settling returns the next jobs, with all that arrived meanwhile.
4. If upstream can't be reached, give the lane back with a later due time. The head of the lane is never skipped.
5. After a bounded time, give the lane back due at once, so that a run that is written all the time can't keep a worker.
"""

import datetime as dt
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, assert_never

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random,
    wait_random_exponential,
)

from bridge.delivery import delivery_events as telling
from bridge.delivery.batching import calls_for, first_of, of_one_client
from bridge.delivery.fault_isolation import Judgement, Suspects, after_breaks, after_crashes, must_go_alone
from bridge.delivery.run_creation import RunCreation
from bridge.delivery.run_order import RunOrder
from bridge.dispatch import Dispatch
from bridge.errors import LeaseLost, StoreUnavailable
from bridge.events import Observer, StoreFailed
from bridge.outbox import RENEWAL, Attempt, Burial, BurialReason, Claim, Outbox, Settlement
from bridge.process.clock import Clock
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Shut
from bridge.upstream.sender import Exchange, Stopping
from schemas.job import UpstreamAnswer
from schemas.lane import named_run

_NOW = dt.timedelta()
#: People change permissions, so the first pauses of a denied lane are those of a lane that has failed a few times.
_DENIED_AHEAD = 3
#: A denied lane that the gate turns away comes back within the longest pause.
_DENIED_AND_SHUT = 10
_POISON = Burial(reason=BurialReason.POISON, message="its delivery ended its worker, again and again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things may take."""

    #: A claim on a lane; longer than one upstream call can take.
    lease: dt.timedelta
    #: The wait of a write for an upstream that can't be reached.
    horizon: dt.timedelta
    #: One turn of a lane, before other lanes get theirs.
    turn: dt.timedelta = dt.timedelta(seconds=0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Delivers lanes. One instance serves all threads of a worker process."""

    outbox: Outbox
    exchange: Exchange
    judgement: Judgement
    run_creation: RunCreation
    run_order: RunOrder
    dispatch: Dispatch
    observe: Observer
    clock: Clock
    timing: Timing

    def deliver(self, lane: str) -> None:
        """Deliver what is due in the lane, for at most one turn. Never raises: what failed is tried again later."""
        try:
            if claim := self.outbox.claim(lane, lease=self.timing.lease):
                self._claimed_turn(claim)
        except StoreUnavailable as error:
            # The lease runs out by itself; what was sent and not settled is sent again, as the same bytes.
            self.observe(StoreFailed(during="delivery", why=str(error), lane=lane))

    def _claimed_turn(self, claim: Claim) -> None:
        try:
            self._turn(claim)
        except LeaseLost:
            self.observe(telling.lease_lost(claim))

    def _turn(self, claim: Claim) -> None:
        end = self.clock.monotonic() + self.timing.turn
        suspects = Suspects()
        current: Claim | None = claim
        while current:
            # A search for a guilty write is not broken off: the next turn would begin it anew, perhaps for ever.
            over = self.clock.monotonic() >= end and not suspects.among(current.settled)
            if over or self.exchange.stopping.is_set():
                self.outbox.release(current, after=_NOW, thaw=not current.resumed)
                if not self.exchange.stopping.is_set():
                    self.dispatch.lane_due(current.lane, current.client)
                return
            current = self._guarded_attempt(current, suspects)

    def _guarded_attempt(self, claim: Claim, suspects: Suspects) -> Claim | None:
        """Make an attempt; a defect of ours must not look like a write that ends its workers."""
        try:
            return self._attempt(claim, suspects)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the lane must come back
            self.observe(telling.broke(claim, error))
            why = f"the bridge has a defect ({type(error).__name__})"
            attempt = Attempt(writes=1, reason="unavailable", message=why)
            self.outbox.release(claim, after=backoff(claim.attempts + 1), attempt=attempt, thaw=False)
            return None

    def _attempt(self, claim: Claim, suspects: Suspects) -> Claim | None:
        """Send one call and write down what came of it; return the claim to go on with, None to stop here."""
        if not claim.jobs:
            return self._settle(claim, RENEWAL)
        jobs = len(claim.jobs)
        if must_go_alone(claim.claims, jobs):
            if claim.tried_alone:
                return self._bury(claim, 1, claim.claims, _POISON)
            self._settle(claim, Settlement(alone=True))
        first = self.run_order.precedence(claim)
        if not first.jobs:
            self.outbox.release(claim, after=first.wait, thaw=not claim.resumed)
            self.dispatch.lane_due(first.other, claim.client)
            return None
        limit = min(
            first.jobs,
            suspects.at_most(claim.settled, jobs),
            after_crashes(claim.claims, jobs),
            after_breaks(claim.broke, jobs),
            of_one_client(claim.jobs) if self.exchange.in_clients_names else jobs,
            # What was denied alone is asked for again alone.
            1 if claim.denied_since else jobs,
        )
        return self._send(claim, limit, suspects)

    def _send(self, claim: Claim, limit: int, suspects: Suspects) -> Claim | None:
        """Send the first jobs, no more than ``limit`` of them, and write down what came of it."""
        began = self.clock.monotonic()
        outcome, count = self._carry(claim, limit)
        took = self.clock.monotonic() - began
        if isinstance(outcome, Stopping):
            return claim
        if isinstance(outcome, Shut):
            # The lane waits until the gate may be open. Its writes gather meanwhile, and go out in larger calls.
            self._hold(claim, outcome)
            return None
        match self.judgement.meaning(claim, count, outcome):
            case Delivered() as outcome:
                return self._delivered(claim, count, outcome, took)
            case Refused() as outcome:
                return self._refused(claim, count, outcome, suspects)
            case Denied() as outcome:
                return self._denied(claim, count, outcome, suspects)
            case (Unavailable() | Unknown()) as outcome:
                self._defer(claim, count, outcome)
                return None
            case never:
                assert_never(never)

    def _hold(self, claim: Claim, shut: Shut) -> None:
        """Give the lane back until the gate may be open. One that upstream denies keeps that as its reason."""
        denied = claim.denied_since is not None
        # Many of them would otherwise come back at once, to be turned away again.
        after = max(shut.after, backoff(_DENIED_AND_SHUT)) if denied else shut.after
        self.outbox.release(claim, after=after, held=None if denied else shut.why, thaw=not claim.resumed)

    def _carry(self, claim: Claim, limit: int) -> tuple[Outcome | Shut | Stopping, int]:
        """Send the first jobs, and return what came of it and how many those are."""

        def renew() -> object:
            return self._settle(claim, RENEWAL)

        if named_run(claim.lane):
            return self.run_creation.send(claim, limit, renew)
        calls, count = calls_for(claim, limit)
        return self.exchange.send(calls, first_of(claim, count), renew=renew), count

    def _delivered(self, claim: Claim, count: int, outcome: Delivered, took: dt.timedelta) -> Claim | None:
        self.observe(telling.delivered(claim, count, outcome, took=took, now=self.clock.now()))
        attempts, request_id = claim.attempts + 1, outcome.request_id
        settlement = Settlement(count=count, attempts=attempts, status=outcome.status, request_id=request_id)
        return self._settle(claim, settlement)

    def _refused(self, claim: Claim, count: int, refusal: Refused, suspects: Suspects) -> Claim | None:
        """Bury a write that was refused alone; look for the guilty one among several."""
        if count > 1:
            return self._split(claim, count, refusal, suspects)
        answer = UpstreamAnswer(
            status=refusal.status,
            error_code=refusal.error_code,
            message=refusal.message,
            request_id=refusal.request_id,
        )
        burial = Burial(reason=BurialReason.REFUSED, message=refusal.message, answer=answer)
        suspects.buried(claim.settled + 1)
        return self._bury(claim, 1, claim.attempts + 1, burial)

    def _denied(self, claim: Claim, count: int, denial: Denied, suspects: Suspects) -> Claim | None:
        """Have a denied write wait in its lane, which holds up no other; find it first among several."""
        if count > 1:
            return self._split(claim, count, denial, suspects)
        if self.judgement.is_denied_for_good(claim):
            answer = UpstreamAnswer(
                status=denial.status or 0,
                error_code=denial.error_code or None,
                message=denial.why,
                request_id=denial.request_id,
            )
            burial = Burial(reason=BurialReason.DENIED, message=denial.why, answer=answer)
            return self._bury(claim, 1, claim.attempts + 1, burial)
        self._defer(claim, 1, denial)
        return None

    def _split(self, claim: Claim, count: int, refusal: Refused | Denied, suspects: Suspects) -> Claim | None:
        """Narrow a refused or denied batch down to its guilty write.

        MLflow's log-batch is not one transaction: it stores params, then metrics, then tags, each by itself, so a part
        of a refused batch may be there. Sending it again is safe all the same: equal params and metrics are stored
        once, and tags are written again in their order.
        """
        self.observe(telling.refused_together(claim, count, refusal))
        suspects.narrow(claim.settled + count)
        refused = Attempt(
            writes=count,
            reason=_reason(refusal),
            message=refusal.why if isinstance(refusal, Denied) else refusal.message,
            status=refusal.status,
            error_code=refusal.error_code,
        )
        return self._settle(claim, Settlement(refused=refused))

    def _bury(self, claim: Claim, count: int, attempts: int, burial: Burial) -> Claim | None:
        """Make dead letters of the first jobs."""
        status = burial.answer.status if burial.answer else 0
        following = self._settle(claim, Settlement(count=count, attempts=attempts, status=status, burial=burial))
        self.observe(telling.buried(claim, count, attempts, burial))
        return following

    def _defer(self, claim: Claim, count: int, outcome: Denied | Unavailable | Unknown) -> None:
        """Give the lane back for later. A call that may have arrived stays frozen, so that it is repeated exactly.

        What was sent now and has waited for longer than the horizon is buried. Never without this one more attempt: the
        bridge itself may have been stopped all the while.
        """
        unknown = isinstance(outcome, Unknown)
        attempt = claim.attempts + 1
        oldest = self.clock.now() - self.timing.horizon
        expired = sum(1 for _ in takewhile(lambda job: job.accepted_at < oldest, claim.jobs[:count]))
        if expired:
            burial = Burial(reason=BurialReason.EXPIRED, message=f"last attempt: {outcome.why}")
            following = self._bury(claim, expired, attempt, burial)
            if not following:
                return
            claim, count = following, count - expired
        delay = _pause(outcome, attempt)
        thaw = not unknown and not claim.resumed
        failed = _failed(outcome, count) if count else None
        self.outbox.release(claim, after=delay, held=outcome.why, attempt=failed, thaw=thaw)
        self.observe(telling.deferred(claim, count, outcome, attempt=attempt, delay=delay))

    def _settle(self, claim: Claim, settlement: Settlement) -> Claim | None:
        """Settle, and keep trying while the lease lasts: what upstream has should not be sent again."""
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random(0.1, 0.5),
            stop=stop_after_delay(self.timing.lease.total_seconds()),
            reraise=True,
        )
        return retrying(self.outbox.settle, claim, settlement, lease=self.timing.lease)


def _pause(outcome: Denied | Unavailable | Unknown, attempt: int) -> dt.timedelta:
    if isinstance(outcome, Denied):
        return backoff(attempt + _DENIED_AHEAD)
    return backoff(attempt, outcome.retry_after if isinstance(outcome, Unavailable) else None)


def _failed(outcome: Denied | Unavailable | Unknown, writes: int) -> Attempt:
    match outcome:
        case Denied():
            broke: Literal["failed", "silent", "denied", ""] = "denied"
        case Unknown():
            broke = "silent"
        case Unavailable():
            broke = "failed" if outcome.own_fault else ""
    status, error_code = getattr(outcome, "status", None), getattr(outcome, "error_code", None)
    return Attempt(
        writes=writes, reason=_reason(outcome), message=outcome.why, status=status, error_code=error_code, broke=broke
    )


def _reason(outcome: Refused | Denied | Unavailable | Unknown) -> str:
    return type(outcome).__name__.lower()


_FIRST = dt.timedelta(milliseconds=500)
_LONGEST = dt.timedelta(seconds=60)
_JITTERED = wait_random_exponential(multiplier=_FIRST.total_seconds(), max=_LONGEST.total_seconds())


def backoff(attempts: int, retry_after: dt.timedelta | None = None) -> dt.timedelta:
    """Return a random wait between nothing and a bound that doubles with each attempt, up to a minute.

    Full jitter spreads lanes that failed together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    Upstream's own ``Retry-After`` is a lower bound: coming back earlier would be refused again.
    """
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = max(1, attempts)
    jittered = dt.timedelta(seconds=_JITTERED(state))
    return max(jittered, retry_after) if retry_after else jittered
