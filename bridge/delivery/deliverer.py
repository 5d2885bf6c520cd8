# SPDX-License-Identifier: Apache-2.0
"""Delivers the jobs of one lane, in order, one upstream call at a time. The Celery task of a worker calls it.

1. Claim the lane, which returns the jobs at its head. Nothing to claim: another worker has it, or it is not due.
2. Merge as many jobs as one call may carry, and send the call when flow control permits it.
3. Settle the outcome: delivered jobs leave the lane. A refused job becomes a dead letter, and so does one that crashes
   its workers. Settling returns the next jobs, with all that arrived meanwhile.
4. If upstream can't be reached, release the lane with a later due time. The head of the lane is never skipped.
5. After a bounded time, release the lane due at once, so that a run that is written all the time can't keep a worker.
"""

import datetime as dt
import random
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, assert_never

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from bridge.delivery import delivery_events
from bridge.delivery.batching import calls_for, context_of_first, count_same_client
from bridge.delivery.fault_isolation import (
    Bisection,
    OutcomePolicy,
    limit_after_crashes,
    limit_after_failures,
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
from bridge.upstream.flow_control import Withheld
from bridge.upstream.sender import Stopping, UpstreamSender
from schemas.job import UpstreamAnswer
from schemas.lane import named_run

_NO_DELAY = dt.timedelta()
_BASE_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 60.0
#: Added to the attempts of a denied lane: permissions change slowly, so even its first pauses are long.
_DENIED_EXTRA_ATTEMPTS = 3
#: The attempts that the backoff of a denied lane that flow control withholds assumes: enough for the longest bound.
_DENIED_WITHHELD_ATTEMPTS = 10
_POISON = DeadLettering(reason=DeadLetterReason.POISON, message="each delivery of this write crashed its worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The time limits of delivery."""

    #: The lease of a claim; longer than one upstream call can take.
    lease: dt.timedelta
    #: The age after which an undelivered write becomes a dead letter.
    horizon: dt.timedelta
    #: The time for which a worker delivers one lane, before other lanes get their turns.
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
        """Deliver what is due in the lane, for at most one turn. Never raises: a failure is retried later."""
        try:
            if claim := self.outbox.claim(lane, lease=self.timing.lease):
                self._deliver_claimed(claim)
        except StoreUnavailable as error:
            # The lease expires by itself; calls sent and not settled are repeated with identical bytes.
            self.observe(StoreError(operation="delivery", reason=str(error), lane=lane))

    def _deliver_claimed(self, claim: Claim) -> None:
        try:
            self._deliver_for_one_turn(claim)
        except LeaseLost:
            self.observe(delivery_events.lease_expired(claim))

    def _deliver_for_one_turn(self, claim: Claim) -> None:
        turn_end = self.clock.monotonic() + self.timing.turn
        bisection = Bisection()
        current: Claim | None = claim
        while current:
            # A bisection is not interrupted: the next turn would restart it, perhaps for ever.
            is_over = self.clock.monotonic() >= turn_end and not bisection.is_active_at(current.settled)
            if is_over or self.sender.stopping.is_set():
                self.outbox.release(current, after=_NO_DELAY, thaw=not current.is_resumed)
                if not self.sender.stopping.is_set():
                    self.dispatch.lane_due(current.lane, current.client)
                return
            current = self._guarded_attempt(current, bisection)

    def _guarded_attempt(self, claim: Claim, bisection: Bisection) -> Claim | None:
        """Make an attempt. An internal error releases the lane, and does not count as a crash of the worker."""
        try:
            return self._attempt(claim, bisection)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the lane must come back
            self.observe(delivery_events.delivery_errored(claim, error))
            reason = f"internal error of the bridge ({type(error).__name__}); see the worker's log"
            attempt = Attempt(writes=1, reason="unavailable", message=reason)
            self.outbox.release(claim, after=backoff(claim.attempts + 1), attempt=attempt, thaw=False)
            return None

    def _attempt(self, claim: Claim, bisection: Bisection) -> Claim | None:
        """Send one call and settle its outcome. Return the claim to continue with, None if the turn ends here."""
        if not claim.jobs:
            return self._settle(claim, RENEWAL)
        job_count = len(claim.jobs)
        if must_go_alone(claim.claims, job_count):
            if claim.was_tried_alone:
                return self._dead_letter(claim, 1, claim.claims, _POISON)
            self._settle(claim, Settlement(sends_alone=True))
        precedence = self.run_order.precedence(claim)
        if not precedence.sendable:
            self.outbox.release(claim, after=precedence.wait, thaw=not claim.is_resumed)
            self.dispatch.lane_due(precedence.other_lane, claim.client)
            return None
        limit = min(
            precedence.sendable,
            bisection.limit(claim.settled, job_count),
            limit_after_crashes(claim.claims, job_count),
            limit_after_failures(claim.failed_calls, job_count),
            count_same_client(claim.jobs) if self.sender.uses_client_sessions else job_count,
            # A write that was denied alone is sent alone again.
            1 if claim.denied_since else job_count,
        )
        return self._send_and_settle(claim, limit, bisection)

    def _send_and_settle(self, claim: Claim, limit: int, bisection: Bisection) -> Claim | None:
        """Send at most ``limit`` of the first jobs and settle the outcome."""
        started_at = self.clock.monotonic()
        outcome, count = self._send(claim, limit)
        duration = self.clock.monotonic() - started_at
        if isinstance(outcome, Stopping):
            return claim
        if isinstance(outcome, Withheld):
            # The lane waits until calls may go again. Its writes gather meanwhile and go out in larger calls.
            self._release_withheld(claim, outcome)
            return None
        match self.outcome_policy.resolve(claim, count, outcome):
            case Delivered() as outcome:
                return self._settle_delivered(claim, count, outcome, duration)
            case Refused() as outcome:
                return self._handle_refused(claim, count, outcome, bisection)
            case Denied() as outcome:
                return self._handle_denied(claim, count, outcome, bisection)
            case (Unavailable() | Unknown()) as outcome:
                self._defer(claim, count, outcome)
                return None
            case never:
                assert_never(never)

    def _send(self, claim: Claim, limit: int) -> tuple[Outcome | Withheld | Stopping, int]:
        """Send at most ``limit`` of the first jobs. Return the outcome and the number of jobs it is about."""

        def renew() -> object:
            return self._settle(claim, RENEWAL)

        if named_run(claim.lane):
            return self.run_creation.send(claim, limit, renew)
        calls, count = calls_for(claim, limit)
        return self.sender.send(calls, context_of_first(claim, count), renew=renew), count

    def _release_withheld(self, claim: Claim, withheld: Withheld) -> None:
        """Release the lane until flow control may permit a call. A denied lane keeps the denial as its reason."""
        is_denied = claim.denied_since is not None
        # Many denied lanes would otherwise come back at once, only to be withheld again.
        is_delayed = is_denied and not withheld.by_pause
        after = max(withheld.after, backoff(_DENIED_WITHHELD_ATTEMPTS)) if is_delayed else withheld.after
        reason = None if is_denied else withheld.reason
        self.outbox.release(claim, after=after, reason=reason, thaw=not claim.is_resumed)

    def _settle_delivered(self, claim: Claim, count: int, outcome: Delivered, duration: dt.timedelta) -> Claim | None:
        self.observe(delivery_events.writes_delivered(claim, count, outcome, duration=duration, now=self.clock.now()))
        attempts, request_id = claim.attempts + 1, outcome.request_id
        settlement = Settlement(count=count, attempts=attempts, status=outcome.status, request_id=request_id)
        return self._settle(claim, settlement)

    def _handle_refused(self, claim: Claim, count: int, refusal: Refused, bisection: Bisection) -> Claim | None:
        """Dead-letter a write that was refused alone. Bisect a batch."""
        if count > 1:
            return self._bisect(claim, count, refusal, bisection)
        answer = UpstreamAnswer(
            status=refusal.status,
            error_code=refusal.error_code,
            message=refusal.message,
            request_id=refusal.request_id,
        )
        dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message=refusal.message, answer=answer)
        bisection.record_dead_letter(claim.settled + 1)
        return self._dead_letter(claim, 1, claim.attempts + 1, dead_lettering)

    def _handle_denied(self, claim: Claim, count: int, denial: Denied, bisection: Bisection) -> Claim | None:
        """Keep a denied write in its lane until its grace has ended, then dead-letter it. Bisect a batch."""
        if count > 1:
            return self._bisect(claim, count, denial, bisection)
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

    def _bisect(self, claim: Claim, count: int, refusal: Refused | Denied, bisection: Bisection) -> Claim | None:
        """Narrow a refused or denied batch down to the write at fault.

        MLflow's log-batch is not one transaction: it stores params, then metrics, then tags, each by itself, so a part
        of a refused batch may be stored. Repeating it is safe all the same: equal params and metrics are stored once,
        and tags are written again in their order.
        """
        self.observe(delivery_events.batch_rejected(claim, count, refusal))
        bisection.narrow(claim.settled + count)
        refused = Attempt(
            writes=count,
            reason=_outcome_name(refusal),
            message=refusal.reason if isinstance(refusal, Denied) else refusal.message,
            status=refusal.status,
            error_code=refusal.error_code,
        )
        return self._settle(claim, Settlement(refused=refused))

    def _dead_letter(self, claim: Claim, count: int, attempts: int, dead_lettering: DeadLettering) -> Claim | None:
        """Settle the first jobs as dead letters."""
        status = dead_lettering.answer.status if dead_lettering.answer else 0
        settlement = Settlement(count=count, attempts=attempts, status=status, dead_lettering=dead_lettering)
        next_claim = self._settle(claim, settlement)
        self.observe(delivery_events.writes_dead_lettered(claim, count, attempts, dead_lettering))
        return next_claim

    def _defer(self, claim: Claim, count: int, outcome: Denied | Unavailable | Unknown) -> None:
        """Release the lane with a later due time. A call that may have arrived stays frozen, to be repeated exactly.

        Jobs of this attempt that are older than the horizon become dead letters. They always get this last attempt:
        the bridge itself may have been stopped all the while.
        """
        may_have_arrived = isinstance(outcome, Unknown)
        attempt = claim.attempts + 1
        oldest_kept = self.clock.now() - self.timing.horizon
        expired = sum(1 for _ in takewhile(lambda job: job.accepted_at < oldest_kept, claim.jobs[:count]))
        if expired:
            dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message=f"last attempt: {outcome.reason}")
            next_claim = self._dead_letter(claim, expired, attempt, dead_lettering)
            if not next_claim:
                return
            claim, count = next_claim, count - expired
        delay = _retry_delay(outcome, attempt)
        thaw = not may_have_arrived and not claim.is_resumed
        failed = _failed_attempt(outcome, count) if count else None
        self.outbox.release(claim, after=delay, reason=outcome.reason, attempt=failed, thaw=thaw)
        self.observe(delivery_events.lane_deferred(claim, count, outcome, attempt=attempt, delay=delay))

    def _settle(self, claim: Claim, settlement: Settlement) -> Claim | None:
        """Settle, and retry while the lease lasts: writes that upstream has should not be repeated."""
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random(0.1, 0.5),
            stop=stop_after_delay(self.timing.lease.total_seconds()),
            reraise=True,
        )
        return retrying(self.outbox.settle, claim, settlement, lease=self.timing.lease)


def backoff(attempts: int, retry_after: dt.timedelta | None = None) -> dt.timedelta:
    """Return a random delay below a bound that doubles with each attempt, up to a minute.

    Full jitter spreads lanes that failed together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    Upstream's own ``Retry-After`` is a lower bound: an earlier call would be rejected again.
    """
    # The exponent is bounded, because a lane may fail for days: a float ends at 2 ** 1023.
    bound = min(_MAX_BACKOFF_S, _BASE_BACKOFF_S * 2 ** min(max(attempts, 1) - 1, 32))
    delay = dt.timedelta(seconds=random.uniform(0, bound))  # noqa: S311 - jitter, not a secret
    return max(delay, retry_after) if retry_after else delay


def _retry_delay(outcome: Denied | Unavailable | Unknown, attempt: int) -> dt.timedelta:
    if isinstance(outcome, Denied):
        return backoff(attempt + _DENIED_EXTRA_ATTEMPTS)
    return backoff(attempt, outcome.retry_after if isinstance(outcome, Unavailable) else None)


def _failed_attempt(outcome: Denied | Unavailable | Unknown, writes: int) -> Attempt:
    match outcome:
        case Denied():
            failure_kind: Literal["failed", "silent", "denied", ""] = "denied"
        case Unknown():
            failure_kind = "silent"
        case Unavailable():
            failure_kind = "failed" if outcome.final_refusal else ""
    status, error_code = getattr(outcome, "status", None), getattr(outcome, "error_code", None) or None
    return Attempt(
        writes=writes,
        reason=_outcome_name(outcome),
        message=outcome.reason,
        status=status,
        error_code=error_code,
        failure_kind=failure_kind,
    )


def _outcome_name(outcome: Refused | Denied | Unavailable | Unknown) -> str:
    return type(outcome).__name__.lower()
