# SPDX-License-Identifier: Apache-2.0
"""Turns what status.lua found into the document that clients read."""

import datetime as dt
from typing import Any

from bridge.redis_outbox.records import unpack_letter, unpack_settled
from schemas.job import JobDocument, JobError, JobId, JobStatus, UpstreamAnswer


def describe(text: str, job_id: JobId, state: list[bytes]) -> JobDocument:
    """Return the document of a job; ``state`` is status.lua's result."""
    kind, *rest = state
    known: dict[str, Any] = {
        "job_id": text,
        "run_id": job_id.lane,
        "op": job_id.op,
        "accepted_at": job_id.accepted_at,
    }
    if kind == b"pending":
        return JobDocument(**known, **_pending(*rest))
    record, letter = rest
    return JobDocument(**known, **(_dead(letter) if letter else _delivered(job_id.position, record)))


def _pending(attempts: bytes, failure: bytes, due: bytes) -> dict[str, Any]:
    tried = int(attempts)
    if not failure:
        return {"status": JobStatus.PENDING}
    reason, _, message = failure.decode().partition(": ")
    return {
        "status": JobStatus.PENDING,
        "attempts": tried,
        "next_attempt_at": dt.datetime.fromtimestamp(float(due) / 1000, dt.UTC) if due else None,
        "error": JobError(reason=reason, message=message),
    }


def _delivered(position: int, record: bytes) -> dict[str, Any]:
    if record:
        last, settled_at, call = unpack_settled(record)
        if position > last - call.count:
            return {
                "status": JobStatus.DELIVERED,
                "settled_at": settled_at,
                "attempts": call.attempts,
                "upstream": UpstreamAnswer(status=call.status, request_id=call.request_id),
            }
    # The details are older than the retention; that it is settled and not dead is known all the same.
    return {"status": JobStatus.DELIVERED}


def _dead(stored: bytes) -> dict[str, Any]:
    buried_at, letter = unpack_letter(stored)
    return {
        "status": JobStatus.DEAD,
        "settled_at": buried_at,
        "attempts": letter.attempts,
        "error": JobError(reason=letter.reason, message=letter.message),
        "upstream": letter.answer,
    }
