# SPDX-License-Identifier: Apache-2.0
"""What upstream's answer to a call comes to, in the light of what was sent before."""

import datetime as dt
from dataclasses import dataclass

from bridge.clock import Clock
from bridge.gate import Gate
from bridge.outbox import Claim
from bridge.suspicion import tried_alone_enough
from bridge.upstream import Delivered, Outcome, Refused, Unavailable, Upstream
from schemas.endpoints import may_be_early, was_done_before

#: For how long a write may have come before what it is about.
_EARLY = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Knows what happened to a claim's writes, and to those of others."""

    gate: Gate
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
        return self.gate.delivered_since(since) or bool(self.upstream.probe()["reachable"])

    def _failure(self, claim: Claim, outcome: Unavailable) -> Outcome:
        """Return the outcome, or the refusal that it comes to after all.

        A write on which upstream fails each time it is sent alone, while it is known to be up, is at fault itself.
        """
        if not outcome.own_fault or not claim.broke_since:
            return outcome
        is_up = outcome.answered or self.gate.delivered_since(claim.broke_since)
        if tried_alone_enough(claim.broke_alone + 1) and is_up:
            return outcome.own_fault
        return outcome

    def _refusal(self, claim: Claim, outcome: Refused) -> Outcome:
        """Return what the refusal of a write that went alone comes to."""
        op, answer = claim.jobs[0].write.op, (outcome.status, outcome.error_code, outcome.message)
        if may_be_early(op, *answer) and self.clock.now() - claim.jobs[0].accepted_at < _EARLY:
            why = "upstream does not know what the write is about, which may be on its way to it"
            return Unavailable(why=why, status=outcome.status)
        return Delivered(status=200, request_id=outcome.request_id) if _was_done(claim, outcome) else outcome


def _was_done(claim: Claim, refusal: Refused) -> bool:
    """Return whether a write that went alone is refused because an earlier attempt at it has got through."""
    # It came to no answer, or ended its worker.
    repeated = bool(claim.resumed and (claim.attempts or claim.claims > 1))
    op = claim.jobs[0].write.op
    return repeated and was_done_before(op, refusal.status, refusal.error_code, refusal.message)
