# SPDX-License-Identifier: Apache-2.0
"""How many jobs a call may carry while one of them is suspected.

It may be the one that upstream refuses among others, that ends its worker, or on which upstream itself fails.
"""

import datetime as dt
from dataclasses import dataclass

from bridge.outbox import Claim
from bridge.process.clock import Clock
from bridge.upstream import Delivered, Outcome, Refused, Unavailable, Upstream
from bridge.upstream.flow_control import FlowControl
from schemas.endpoints import may_be_early, was_done_before

#: A worker may die for reasons that are nobody's fault, a few times in a row.
_TRUSTED_CLAIMS = 5
#: Upstream may answer 500 for reasons that are nobody's fault, a few times in a row.
_TRUSTED_BREAKS = 2
#: How often a write is sent alone before a 500 is taken for its own fault.
_TRIES_ALONE = 5


class Bisection:
    """The jobs at the head of a lane among which upstream refuses at least one; halved until that one is alone."""

    def __init__(self) -> None:
        self._end = 0
        self._last_buried = 0
        self._in_a_row = 0

    def narrow(self, end: int) -> None:
        """Note that a batch which ends at position ``end`` was refused."""
        self._end = end

    def dead_lettered(self, position: int) -> None:
        """Note that the job at this position was the guilty one."""
        self._in_a_row = self._in_a_row + 1 if position == self._last_buried + 1 else 1
        self._last_buried = position

    def among(self, settled: int) -> bool:
        """Whether the next job is one of them."""
        return settled < self._end

    def at_most(self, settled: int, jobs: int) -> int:
        """Return how many of ``jobs`` the next call may carry.

        Half of the suspects. Once that half is settled, the guilty write is in what is left, which is halved again: k
        guilty writes among n cost about k * log2(n) calls. Where one guilty write follows the other, the next is tried
        alone: in a run that upstream does not know, all are guilty.
        """
        if self._in_a_row > 1 and settled == self._last_buried:
            return 1
        return min(jobs, max(1, (self._end - settled) // 2)) if self.among(settled) else jobs


def limit_after_crashes(claims: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry when the lane's last claims ended with their workers.

    Half as many after each further one, down to a job alone: if that one ends its worker too, it is poison.
    """
    return jobs if claims <= _TRUSTED_CLAIMS else max(1, jobs >> (claims - _TRUSTED_CLAIMS))


def must_go_alone(claims: int, jobs: int) -> bool:
    """Whether the first job is sent on its own because workers keep dying."""
    return claims > _TRUSTED_CLAIMS and limit_after_crashes(claims, jobs) == 1


def limit_after_disconnects(broke: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry when upstream itself failed on calls from the lane's head."""
    return jobs if broke <= _TRUSTED_BREAKS else max(1, jobs >> (broke - _TRUSTED_BREAKS))


def tried_alone_enough(broke_alone: int) -> bool:
    """Whether upstream has failed on the first job alone often enough to blame the job, others being delivered."""
    return broke_alone >= _TRIES_ALONE


#: For how long a write may have come before what it is about.
_EARLY = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomePolicy:
    """Knows what happened to a claim's writes, and to those of others."""

    flow_control: FlowControl
    upstream: Upstream
    clock: Clock
    #: For how long a write waits that upstream denies.
    denial_grace: dt.timedelta

    def meaning(self, claim: Claim, count: int, outcome: Outcome) -> Outcome:
        """Return what the answer to a call with the first ``count`` jobs comes to."""
        if count != 1:
            return outcome
        match outcome:
            case Unavailable(answered=True, own_fault=Refused() as refusal) if _was_done(claim, refusal):
                return Delivered(status=200, request_id=refusal.request_id)
            case Unavailable():
                return self._failure(claim, outcome)
            case Refused():
                return self._refusal(claim, outcome)
        return outcome

    def is_denied_for_good(self, claim: Claim) -> bool:
        """Return whether the first job, denied once more, has waited long enough to be given up on.

        Only while upstream takes other calls: where it denies everything, the bridge itself has lost its access, which
        no write is to blame for.
        """
        since = claim.denied_since
        if since is None or self.clock.now() - max(since, claim.jobs[0].accepted_at) < self.denial_grace:
            return False
        return self.flow_control.delivered_since(since) or bool(self.upstream.probe()["reachable"])

    def _failure(self, claim: Claim, outcome: Unavailable) -> Outcome:
        """Return the outcome, or the refusal that it comes to after all.

        A write on which upstream fails each time it is sent alone, while it is known to be up, is at fault itself.
        """
        if not outcome.own_fault or not claim.broke_since:
            return outcome
        is_up = outcome.answered or self.flow_control.delivered_since(claim.broke_since)
        if tried_alone_enough(claim.broke_alone + 1) and is_up:
            return outcome.own_fault
        return outcome

    def _refusal(self, claim: Claim, outcome: Refused) -> Outcome:
        """Return what the refusal of a write that went alone comes to."""
        op, answer = claim.jobs[0].write.op, (outcome.status, outcome.error_code, outcome.message)
        if may_be_early(op, *answer) and self.clock.now() - claim.jobs[0].accepted_at < _EARLY:
            reason = "upstream does not know what the write is about, which may be on its way to it"
            return Unavailable(reason=reason, status=outcome.status)
        return Delivered(status=200, request_id=outcome.request_id) if _was_done(claim, outcome) else outcome


def _was_done(claim: Claim, refusal: Refused) -> bool:
    """Return whether a write that went alone is refused because an earlier attempt at it has got through."""
    # It came to no answer, or ended its worker.
    repeated = bool(claim.resumed and (claim.attempts or claim.claims > 1))
    op = claim.jobs[0].write.op
    return repeated and was_done_before(op, refusal.status, refusal.error_code, refusal.message)
