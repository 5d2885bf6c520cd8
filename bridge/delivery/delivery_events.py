# SPDX-License-Identifier: Apache-2.0
"""Builds the events of delivery from a claim and an outcome.

Each event names the first job that it is about, the request that brought that job, and the number of jobs.
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


def writes_delivered(
    claim: Claim, count: int, outcome: Delivered, *, duration: dt.timedelta, now: dt.datetime
) -> WritesDelivered:
    """Return the event for jobs that upstream has."""
    return WritesDelivered(
        **_subject_fields(claim, count),
        attempt=claim.attempts + 1,
        duration=duration,
        lag=now - claim.jobs[0].accepted_at,
        upstream_request_id=outcome.request_id,
    )


def batch_rejected(claim: Claim, count: int, refusal: Refused | Denied) -> BatchRejected:
    """Return the event for a batch that upstream refused or denied."""
    return BatchRejected(
        **_subject_fields(claim, count),
        attempt=claim.attempts + 1,
        status=refusal.status or 0,
        error_code=refusal.error_code,
        upstream_request_id=refusal.request_id,
    )


def writes_dead_lettered(claim: Claim, count: int, attempts: int, dead_lettering: DeadLettering) -> WritesDeadLettered:
    """Return the event for jobs that became dead letters."""
    answer = dead_lettering.answer
    return WritesDeadLettered(
        **_subject_fields(claim, count),
        attempt=attempts,
        reason=dead_lettering.reason,
        status=answer.status if answer else 0,
        error_code=answer.error_code if answer else None,
        upstream_request_id=answer.request_id if answer else None,
    )


def lane_deferred(
    claim: Claim, count: int, outcome: Denied | Unavailable | Unknown, *, attempt: int, delay: dt.timedelta
) -> LaneDeferred | LaneDenied:
    """Return the event for jobs that were not delivered and wait in their lane."""
    if isinstance(outcome, Denied):
        return LaneDenied(
            **_subject_fields(claim, count), attempt=attempt, action=outcome.action, reason=outcome.reason, delay=delay
        )
    name = "unknown" if isinstance(outcome, Unknown) else "unavailable"
    return LaneDeferred(
        **_subject_fields(claim, count), attempt=attempt, outcome=name, reason=outcome.reason, delay=delay
    )


def lease_expired(claim: Claim) -> LeaseExpired:
    """Return the event for a claim that was lost to another worker."""
    return LeaseExpired(**_subject_fields(claim, len(claim.jobs)), attempt=claim.attempts + 1)


def delivery_errored(claim: Claim, error: Exception) -> DeliveryErrored:
    """Return the event for an internal error during the delivery of a claim."""
    where = format_tb(error.__traceback__)[-1]
    return DeliveryErrored(
        **_subject_fields(claim, len(claim.jobs)), attempt=claim.attempts + 1, reason=repr(type(error)), where=where
    )


def _subject_fields(claim: Claim, count: int) -> dict[str, Any]:
    request_id = claim.jobs[0].trace_context.request_id if claim.jobs else None
    first = claim.settled + 1
    return {"lane": claim.lane, "first": first, "writes": count, "job_id": claim.job_id, "request_id": request_id}
