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
from bridge.delivery.batching import calls_for, context_of_first, count_same_client
from bridge.delivery.fault_isolation import (
    Bisection,
    OutcomePolicy,
    limit_after_crashes,
    limit_after_disconnects,
    must_go_alone,
)
from bridge.delivery.run_creation import RunCreation
from bridge.delivery.run_order import RunOrder
from bridge.dispatch import Dispatch
from bridge.errors import LeaseLost, StoreUnavailable
from bridge.events import Observer, StoreError
from bridge.outbox import RENEWAL, Attempt, Claim, DeadLettering, DeadLetterReason, Outbox, Settlement
from bridge.process.clock import Clock
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Rejected
from bridge.upstream.sender import Stopping, UpstreamSender
from schemas.job import UpstreamAnswer
from schemas.lane import named_run

_NOW = dt.timedelta()
#: People change permissions, so the first pauses of a denied lane are those of a lane that has failed a few times.
_DENIED_AHEAD = 3
#: A denied lane that the gate turns away comes back within the longest pause.
_DENIED_AND_SHUT = 10
_POISON = DeadLettering(reason=DeadLetterReason.POISON, message="its delivery ended its worker, again and again")


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
class Deliverer:
    """Delivers lanes. One instance serves all threads of a worker process."""

    outbox: Outbox
    sender: UpstreamSender
    outcome_policy: OutcomePolicy
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
            self.observe(StoreError(operation="delivery", reason=str(error), lane=lane))

    def _claimed_turn(self, claim: Claim) -> None:
        try:
            self._turn(claim)
        except LeaseLost:
            self.observe(telling.lease_lost(claim))

    def _turn(self, claim: Claim) -> None:
        end = self.clock.monotonic() + self.timing.turn
        suspects = Bisection()
        current: Claim | None = claim
        while current:
            # A search for a guilty write is not broken off: the next turn would begin it anew, perhaps for ever.
            over = self.clock.monotonic() >= end and not suspects.among(current.settled)
            if over or self.sender.stopping.is_set():
                self.outbox.release(current, after=_NOW, thaw=not current.resumed)
                if not self.sender.stopping.is_set():
                    self.dispatch.lane_due(current.lane, current.client)
                return
            current = self._guarded_attempt(current, suspects)

    def _guarded_attempt(self, claim: Claim, suspects: Bisection) -> Claim | None:
        """Make an attempt; a defect of ours must not look like a write that ends its workers."""
        try:
            return self._attempt(claim, suspects)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the lane must come back
            self.observe(telling.broke(claim, error))
            reason = f"the bridge has a defect ({type(error).__name__})"
            attempt = Attempt(writes=1, reason="unavailable", message=reason)
            self.outbox.release(claim, after=backoff(claim.attempts + 1), attempt=attempt, thaw=False)
            return None

    def _attempt(self, claim: Claim, suspects: Bisection) -> Claim | None:
        """Send one call and write down what came of it; return the claim to go on with, None to stop here."""
        if not claim.jobs:
            return self._settle(claim, RENEWAL)
        jobs = len(claim.jobs)
        if must_go_alone(claim.claims, jobs):
            if claim.tried_alone:
                return self._dead_letter(claim, 1, claim.claims, _POISON)
            self._settle(claim, Settlement(alone=True))
        first = self.run_order.precedence(claim)
        if not first.jobs:
            self.outbox.release(claim, after=first.wait, thaw=not claim.resumed)
            self.dispatch.lane_due(first.other, claim.client)
            return None
        limit = min(
            first.jobs,
            suspects.at_most(claim.settled, jobs),
            limit_after_crashes(claim.claims, jobs),
            limit_after_disconnects(claim.broke, jobs),
            count_same_client(claim.jobs) if self.sender.in_clients_names else jobs,
            # What was denied alone is asked for again alone.
            1 if claim.denied_since else jobs,
        )
        return self._send(claim, limit, suspects)

    def _send(self, claim: Claim, limit: int, suspects: Bisection) -> Claim | None:
        """Send the first jobs, no more than ``limit`` of them, and write down what came of it."""
        began = self.clock.monotonic()
        outcome, count = self._carry(claim, limit)
        duration = self.clock.monotonic() - began
        if isinstance(outcome, Stopping):
            return claim
        if isinstance(outcome, Rejected):
            # The lane waits until the gate may be open. Its writes gather meanwhile, and go out in larger calls.
            self._hold(claim, outcome)
            return None
        match self.outcome_policy.meaning(claim, count, outcome):
            case Delivered() as outcome:
                return self._delivered(claim, count, outcome, duration)
            case Refused() as outcome:
                return self._refused(claim, count, outcome, suspects)
            case Denied() as outcome:
                return self._denied(claim, count, outcome, suspects)
            case (Unavailable() | Unknown()) as outcome:
                self._defer(claim, count, outcome)
                return None
            case never:
                assert_never(never)

    def _hold(self, claim: Claim, shut: Rejected) -> None:
        """Give the lane back until the gate may be open. One that upstream denies keeps that as its reason."""
        denied = claim.denied_since is not None
        # Many of them would otherwise come back at once, to be turned away again.
        after = max(shut.after, backoff(_DENIED_AND_SHUT)) if denied else shut.after
        self.outbox.release(claim, after=after, held=None if denied else shut.reason, thaw=not claim.resumed)

    def _carry(self, claim: Claim, limit: int) -> tuple[Outcome | Rejected | Stopping, int]:
        """Send the first jobs, and return what came of it and how many those are."""

        def renew() -> object:
            return self._settle(claim, RENEWAL)

        if named_run(claim.lane):
            return self.run_creation.send(claim, limit, renew)
        calls, count = calls_for(claim, limit)
        return self.sender.send(calls, context_of_first(claim, count), renew=renew), count

    def _delivered(self, claim: Claim, count: int, outcome: Delivered, duration: dt.timedelta) -> Claim | None:
        self.observe(telling.delivered(claim, count, outcome, duration=duration, now=self.clock.now()))
        attempts, request_id = claim.attempts + 1, outcome.request_id
        settlement = Settlement(count=count, attempts=attempts, status=outcome.status, request_id=request_id)
        return self._settle(claim, settlement)

    def _refused(self, claim: Claim, count: int, refusal: Refused, suspects: Bisection) -> Claim | None:
        """Bury a write that was refused alone; look for the guilty one among several."""
        if count > 1:
            return self._split(claim, count, refusal, suspects)
        answer = UpstreamAnswer(
            status=refusal.status,
            error_code=refusal.error_code,
            message=refusal.message,
            request_id=refusal.request_id,
        )
        dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message=refusal.message, answer=answer)
        suspects.dead_lettered(claim.settled + 1)
        return self._dead_letter(claim, 1, claim.attempts + 1, dead_lettering)

    def _denied(self, claim: Claim, count: int, denial: Denied, suspects: Bisection) -> Claim | None:
        """Have a denied write wait in its lane, which holds up no other; find it first among several."""
        if count > 1:
            return self._split(claim, count, denial, suspects)
        if self.outcome_policy.is_denied_for_good(claim):
            answer = UpstreamAnswer(
                status=denial.status or 0,
                error_code=denial.error_code or None,
                message=denial.reason,
                request_id=denial.request_id,
            )
            dead_lettering = DeadLettering(reason=DeadLetterReason.DENIED, message=denial.reason, answer=answer)
            return self._dead_letter(claim, 1, claim.attempts + 1, dead_lettering)
        self._defer(claim, 1, denial)
        return None

    def _split(self, claim: Claim, count: int, refusal: Refused | Denied, suspects: Bisection) -> Claim | None:
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
            message=refusal.reason if isinstance(refusal, Denied) else refusal.message,
            status=refusal.status,
            error_code=refusal.error_code,
        )
        return self._settle(claim, Settlement(refused=refused))

    def _dead_letter(self, claim: Claim, count: int, attempts: int, dead_lettering: DeadLettering) -> Claim | None:
        """Make dead letters of the first jobs."""
        status = dead_lettering.answer.status if dead_lettering.answer else 0
        following = self._settle(
            claim, Settlement(count=count, attempts=attempts, status=status, dead_lettering=dead_lettering)
        )
        self.observe(telling.dead_lettered(claim, count, attempts, dead_lettering))
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
            dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message=f"last attempt: {outcome.reason}")
            following = self._dead_letter(claim, expired, attempt, dead_lettering)
            if not following:
                return
            claim, count = following, count - expired
        delay = _pause(outcome, attempt)
        thaw = not unknown and not claim.resumed
        failed = _failed(outcome, count) if count else None
        self.outbox.release(claim, after=delay, held=outcome.reason, attempt=failed, thaw=thaw)
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
        writes=writes,
        reason=_reason(outcome),
        message=outcome.reason,
        status=status,
        error_code=error_code,
        broke=broke,
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
