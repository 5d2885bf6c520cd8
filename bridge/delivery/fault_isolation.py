# SPDX-License-Identifier: Apache-2.0
"""Fault isolation: interprets outcomes in the light of earlier attempts, and bisects batches that fail.

A write is at fault if upstream refuses it, if it crashes its worker, or if upstream itself fails on it each time.
Batches shrink until this write is alone, so that its neighbours are delivered.
"""

import datetime as dt
from dataclasses import dataclass

from bridge.outbox import Claim
from bridge.process.clock import Clock
from bridge.upstream import Delivered, Outcome, Refused, Unavailable, Upstream
from bridge.upstream.flow_control import FlowControl
from schemas.endpoints import may_precede_trace, was_done_before

#: Claims of a lane in a row without a settlement: a worker may crash a few times for other reasons than a write.
_MAX_TRUSTED_CLAIMS = 5
#: Calls in a row on which upstream failed: it may answer 500 a few times for other reasons than a write.
_MAX_TRUSTED_FAILURES = 2
#: Attempts at a write alone before a 500 is taken for its own fault.
_MIN_ATTEMPTS_ALONE = 5
#: A write may arrive this long before the run or trace that it refers to.
_EARLY_WRITE_GRACE = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomePolicy:
    """Decides what an upstream response means, given earlier attempts at the claim and at other lanes."""

    flow_control: FlowControl
    upstream: Upstream
    clock: Clock
    #: The time that a denied write waits in its lane before it becomes a dead letter.
    denial_grace: dt.timedelta

    def resolve(self, claim: Claim, count: int, outcome: Outcome) -> Outcome:
        """Return the final outcome of a call with the first ``count`` jobs."""
        if count != 1:
            return outcome
        match outcome:
            case Unavailable(answered=True, final_refusal=Refused() as refusal) if _was_done(claim, refusal):
                return Delivered(status=200, request_id=refusal.request_id)
            case Unavailable():
                return self._resolve_failure(claim, outcome)
            case Refused():
                return self._resolve_refusal(claim, outcome)
        return outcome

    def is_denied_for_good(self, claim: Claim) -> bool:
        """Return whether the first job, denied once more, has waited for the whole grace period.

        Only while upstream accepts other calls: if it denies all of them, the bridge itself has lost its access, which
        is no write's fault.
        """
        since = claim.denied_since
        if since is None or self.clock.now() - max(since, claim.jobs[0].accepted_at) < self.denial_grace:
            return False
        return self.flow_control.delivered_since(since) or bool(self.upstream.probe()["reachable"])

    def _resolve_failure(self, claim: Claim, outcome: Unavailable) -> Outcome:
        """Return the outcome, or a refusal if the write is at fault.

        It is at fault if upstream fails each time the write is sent alone, while upstream is known to be up.
        """
        if not outcome.final_refusal or not claim.failed_alone_since:
            return outcome
        is_up = outcome.answered or self.flow_control.delivered_since(claim.failed_alone_since)
        if claim.failed_alone + 1 >= _MIN_ATTEMPTS_ALONE and is_up:
            return outcome.final_refusal
        return outcome

    def _resolve_refusal(self, claim: Claim, outcome: Refused) -> Outcome:
        """Return the outcome of a refused write that was sent alone: too early, done before, or refused."""
        job = claim.jobs[0]
        is_maybe_early = may_precede_trace(job.write.op, outcome.status, outcome.error_code, outcome.message)
        if is_maybe_early and self.clock.now() - job.accepted_at < _EARLY_WRITE_GRACE:
            reason = "upstream does not have the run or trace of this write yet; it may still arrive"
            return Unavailable(reason=reason, status=outcome.status)
        return Delivered(status=200, request_id=outcome.request_id) if _was_done(claim, outcome) else outcome


class Bisection:
    """A bisection of the jobs at the head of a lane, at least one of which upstream refuses.

    ``narrow`` notes a refused batch; ``limit`` halves it until the refused job is alone.
    """

    def __init__(self) -> None:
        #: Positions: of the last job of the refused batch, and of the job that was dead-lettered last.
        self._end = 0
        self._last_dead_letter = 0
        self._dead_letters_in_a_row = 0

    def narrow(self, end: int) -> None:
        """Note that a batch which ends at position ``end`` was refused."""
        self._end = end

    def record_dead_letter(self, position: int) -> None:
        """Note that the job at this position was at fault."""
        follows = position == self._last_dead_letter + 1
        self._dead_letters_in_a_row = self._dead_letters_in_a_row + 1 if follows else 1
        self._last_dead_letter = position

    def is_active_at(self, settled: int) -> bool:
        """Return whether the job after position ``settled`` belongs to a refused batch."""
        return settled < self._end

    def limit(self, settled: int, jobs: int) -> int:
        """Return how many of ``jobs`` the next call may carry.

        Half of the refused batch. Once that half is settled, the write at fault is in the rest, which is halved again:
        k such writes among n cost about k * log2(n) calls. After two in a row, the next write is tried alone: in a run
        that upstream does not have, every write is at fault.
        """
        if self._dead_letters_in_a_row > 1 and settled == self._last_dead_letter:
            return 1
        return min(jobs, max(1, (self._end - settled) // 2)) if self.is_active_at(settled) else jobs


def limit_after_crashes(claims: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry after workers crashed during the lane's last claims.

    The limit halves with each further crash, down to one job: if that one crashes its worker too, it is poison.
    """
    return jobs if claims <= _MAX_TRUSTED_CLAIMS else max(1, jobs >> (claims - _MAX_TRUSTED_CLAIMS))


def must_go_alone(claims: int, jobs: int) -> bool:
    """Return whether the first job is sent alone because workers keep crashing."""
    return claims > _MAX_TRUSTED_CLAIMS and limit_after_crashes(claims, jobs) == 1


def limit_after_failures(failed_calls: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry after upstream failed on this many calls from the lane's head.

    The limit halves with each further failed call, down to one job.
    """
    return jobs if failed_calls <= _MAX_TRUSTED_FAILURES else max(1, jobs >> (failed_calls - _MAX_TRUSTED_FAILURES))


def _was_done(claim: Claim, refusal: Refused) -> bool:
    """Return whether a write sent alone is refused because an earlier attempt at it was successful."""
    # That attempt got no answer, or crashed its worker.
    is_repeated = bool(claim.is_resumed and (claim.attempts or claim.claims > 1))
    op = claim.jobs[0].write.op
    return is_repeated and was_done_before(op, refusal.status, refusal.error_code, refusal.message)
