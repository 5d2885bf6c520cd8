# SPDX-License-Identifier: Apache-2.0
"""Tells what came of the jobs of a claim: the events of delivery.

Each names the first job that it is about, with the request that brought it, and how many jobs follow.
"""

import datetime as dt
from traceback import format_tb
from typing import Any

from bridge.events import (
    BatchRejected,
    DeliveryErrored,
    LaneDeferred,
    LaneDenied,
    LeaseExpired,
    WritesDeadLettered,
    WritesDelivered,
)
from bridge.outbox import Claim, DeadLettering
from bridge.upstream import Delivered, Denied, Refused, Unavailable, Unknown


def delivered(
    claim: Claim, count: int, outcome: Delivered, *, duration: dt.timedelta, now: dt.datetime
) -> WritesDelivered:
    """Tell that upstream has the first jobs."""
    return WritesDelivered(
        **_about(claim, count),
        attempt=claim.attempts + 1,
        duration=duration,
        lag=now - claim.jobs[0].accepted_at,
        upstream_request_id=outcome.request_id,
    )


def refused_together(claim: Claim, count: int, refusal: Refused | Denied) -> BatchRejected:
    """Tell that one of the first jobs at least is not to upstream's liking."""
    return BatchRejected(
        **_about(claim, count),
        attempt=claim.attempts + 1,
        status=refusal.status or 0,
        error_code=refusal.error_code,
        upstream_request_id=refusal.request_id,
    )


def dead_lettered(claim: Claim, count: int, attempts: int, dead_lettering: DeadLettering) -> WritesDeadLettered:
    """Tell that the first jobs are dead letters now."""
    answer = dead_lettering.answer
    return WritesDeadLettered(
        **_about(claim, count),
        attempt=attempts,
        reason=dead_lettering.reason,
        status=answer.status if answer else 0,
        error_code=answer.error_code if answer else None,
        upstream_request_id=answer.request_id if answer else None,
    )


def deferred(
    claim: Claim, count: int, outcome: Denied | Unavailable | Unknown, *, attempt: int, delay: dt.timedelta
) -> LaneDeferred | LaneDenied:
    """Tell that the first jobs did not get through, and their lane waits."""
    if isinstance(outcome, Denied):
        return LaneDenied(
            **_about(claim, count), attempt=attempt, action=outcome.action, reason=outcome.reason, delay=delay
        )
    came_to = "unknown" if isinstance(outcome, Unknown) else "unavailable"
    return LaneDeferred(**_about(claim, count), attempt=attempt, outcome=came_to, reason=outcome.reason, delay=delay)


def lease_lost(claim: Claim) -> LeaseExpired:
    """Tell that another worker has the lane of this claim."""
    return LeaseExpired(**_about(claim, len(claim.jobs)), attempt=claim.attempts + 1)


def broke(claim: Claim, error: Exception) -> DeliveryErrored:
    """Tell that a defect ended the delivery of a claim's jobs."""
    where = format_tb(error.__traceback__)[-1]
    return DeliveryErrored(
        **_about(claim, len(claim.jobs)), attempt=claim.attempts + 1, reason=repr(type(error)), where=where
    )


def _about(claim: Claim, count: int) -> dict[str, Any]:
    request_id = claim.jobs[0].trace_context.request_id if claim.jobs else None
    first = claim.settled + 1
    return {"lane": claim.lane, "first": first, "writes": count, "job_id": claim.job_id, "request_id": request_id}
