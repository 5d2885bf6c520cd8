# SPDX-License-Identifier: Apache-2.0
"""Delivers the jobs of one lane, in order, one upstream call at a time.

1. Claim the lane, which returns the jobs at its head. Nothing to claim: another worker has it, or it is not due.
2. Merge as many jobs as one call may carry, and send the call.
3. Settle what came of it: delivered jobs leave the lane, a refused one becomes a dead letter. Settling returns the
   next jobs, with all that arrived meanwhile.
4. If upstream can't be reached, give the lane back with a later due time. The head of the lane is never skipped.
5. After a bounded time, give the lane back due at once, so that a run that is written all the time can't keep a worker.
"""

import datetime as dt
import threading
from typing import assert_never

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from bridge.backoff import backoff
from bridge.clock import Clock
from bridge.coalescing import next_call
from bridge.dispatch import Dispatch
from bridge.errors import LeaseLost, StoreUnavailable
from bridge.events import BatchRefused, LaneDeferred, LeaseWasLost, Observer, StoreFailed, WriteBuried, WritesDelivered
from bridge.outbox import Claim, Outbox, Settlement
from bridge.upstream import Delivered, Refused, Unavailable, Unknown, Upstream

#: How long one turn of a lane may take before other lanes get theirs.
_TURN = dt.timedelta(seconds=5)
_NOW = dt.timedelta()


class Delivery:
    """Delivers lanes. One instance serves all threads of a worker process."""

    def __init__(
        self,
        outbox: Outbox,
        upstream: Upstream,
        dispatch: Dispatch,
        *,
        observe: Observer,
        clock: Clock,
        lease: dt.timedelta,
        stopping: threading.Event,
    ) -> None:
        self._outbox = outbox
        self._upstream = upstream
        self._dispatch = dispatch
        self._observe = observe
        self._clock = clock
        self._lease = lease
        self._stopping = stopping

    def deliver(self, lane: str) -> None:
        """Deliver what is due in the lane, for at most one turn. Never raises: what failed is tried again later."""
        try:
            claim = self._outbox.claim(lane, lease=self._lease)
            if claim:
                self._turn(claim)
        except LeaseLost:
            self._observe(LeaseWasLost(lane=lane))
        except StoreUnavailable as error:
            # The lease runs out by itself; what was sent and not settled is sent again, as the same bytes.
            self._observe(StoreFailed(during="delivery", why=str(error)))

    def _turn(self, claim: Claim) -> None:
        end = self._clock.monotonic() + _TURN
        suspects = _Suspects()
        current: Claim | None = claim
        while current:
            # A search for a guilty write is not broken off: the next turn would begin it anew, perhaps for ever.
            over = self._clock.monotonic() >= end and not suspects.among(current.settled)
            if over or self._stopping.is_set():
                self._outbox.release(current, after=_NOW)
                if not self._stopping.is_set():
                    self._dispatch.lane_due(current.lane)
                return
            current = self._attempt(current, suspects)

    def _attempt(self, claim: Claim, suspects: "_Suspects") -> Claim | None:
        """Send one call and write down what came of it; return the claim to go on with, None to stop here."""
        if not claim.jobs:
            return self._settle(claim, Settlement(count=0, attempts=0, status=0))
        call, count = next_call(claim.jobs, at_most=suspects.at_most(claim.settled))
        began = self._clock.monotonic()
        outcome = self._upstream.send(call)
        attempt = claim.attempts + 1
        match outcome:
            case Delivered():
                self._observe(
                    WritesDelivered(
                        lane=claim.lane,
                        first=claim.settled + 1,
                        writes=count,
                        attempt=attempt,
                        took=self._clock.monotonic() - began,
                        request_id=outcome.request_id,
                    )
                )
                return self._settle(
                    claim,
                    Settlement(count=count, attempts=attempt, status=outcome.status, request_id=outcome.request_id),
                )
            case Refused() if count > 1:
                return self._split(claim, count, outcome, suspects)
            case Refused():
                return self._bury(claim, attempt, outcome)
            case Unavailable() | Unknown():
                self._defer(claim, attempt, outcome)
                return None
            case _:
                assert_never(outcome)

    def _split(self, claim: Claim, count: int, refusal: Refused, suspects: "_Suspects") -> Claim | None:
        """Narrow a refused batch down to its guilty write.

        Sending the rest again is safe although MLflow may have stored a part of the refused batch: equal metrics and
        params are stored once, and tags are written again in their order.
        """
        self._observe(
            BatchRefused(
                lane=claim.lane,
                first=claim.settled + 1,
                writes=count,
                status=refusal.status,
                error_code=refusal.error_code,
            )
        )
        suspects.narrow(claim.settled + count)
        return self._settle(claim, Settlement(count=0, attempts=0, status=0))

    def _bury(self, claim: Claim, attempt: int, refusal: Refused) -> Claim | None:
        settlement = Settlement(
            count=1, attempts=attempt, status=refusal.status, request_id=refusal.request_id, refusal=refusal
        )
        following = self._settle(claim, settlement)
        self._observe(
            WriteBuried(
                lane=claim.lane,
                position=claim.settled + 1,
                reason="refused",
                status=refusal.status,
                error_code=refusal.error_code,
            )
        )
        return following

    def _defer(self, claim: Claim, attempt: int, outcome: Unavailable | Unknown) -> None:
        """Give the lane back for later. A call that may have arrived stays frozen, so that it is repeated exactly."""
        unknown = isinstance(outcome, Unknown)
        reason = "unknown" if unknown else "unavailable"
        delay = backoff(attempt, None if isinstance(outcome, Unknown) else outcome.retry_after)
        self._outbox.release(claim, after=delay, failure=f"{reason}: {outcome.why}", thaw=not unknown)
        self._observe(LaneDeferred(lane=claim.lane, attempt=attempt, outcome=reason, why=outcome.why, delay=delay))

    def _settle(self, claim: Claim, settlement: Settlement) -> Claim | None:
        """Settle, and keep trying while the lease lasts: what upstream has should not be sent again."""
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random(0.1, 0.5),
            stop=stop_after_delay(self._lease.total_seconds()),
            reraise=True,
        )
        return retrying(self._outbox.settle, claim, settlement, lease=self._lease)


class _Suspects:
    """The jobs at the head of a lane among which upstream refuses at least one; halved until that one is alone."""

    def __init__(self) -> None:
        self._end = 0

    def narrow(self, end: int) -> None:
        """Note that a batch which ends at position ``end`` was refused."""
        self._end = end

    def among(self, settled: int) -> bool:
        """Whether the next job is one of them."""
        return settled < self._end

    def at_most(self, settled: int) -> int | None:
        """Return how many jobs the next call may carry, None if nothing is suspected.

        Half of the suspects. Once that half is settled, the guilty write is in what is left, which is halved again: k
        guilty writes among n cost about k * log2(n) calls.
        """
        return max(1, (self._end - settled) // 2) if self.among(settled) else None
