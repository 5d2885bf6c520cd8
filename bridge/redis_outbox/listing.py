# SPDX-License-Identifier: Apache-2.0
"""Lists the jobs that wait in a lane."""

from typing import Any

from bridge.redis_outbox import keys
from bridge.redis_outbox.records import unpack_entry
from schemas.job import Job, JobId

#: How many writes are read at a time, and at most for one page, so that other clients' writes don't hold a request up.
_CHUNK = 500
_MOST = 20_000


def pending_jobs(client: Any, lane: str, *, of: str | None, after: int, limit: int) -> tuple[list[Job], int | None]:  # noqa: ANN401 - see RedisOutbox
    """Return the jobs behind a position, in order, and the position to go on behind; None at the end.

    ``of`` a client, or of all.
    """
    found: list[Job] = []
    settled, looked_at = int(client.hget(keys.lane_state(lane), "settled") or 0), 0
    while looked_at < _MOST:
        begin = max(0, after - settled)
        pipeline = client.pipeline(transaction=True)
        pipeline.hget(keys.lane_state(lane), "settled")
        pipeline.lrange(keys.writes(lane), begin, begin + _CHUNK - 1)
        moved, entries = pipeline.execute()
        if int(moved or 0) != settled:
            # The lane has moved on since it was decided where to begin.
            settled = int(moved or 0)
            continue
        if not entries:
            return found, None
        for position, entry in enumerate(entries, settled + begin + 1):
            job, after, looked_at = unpack_entry(entry, lane=lane, position=position), position, looked_at + 1
            if of in (None, job.client):
                found.append(job)
            if len(found) == limit:
                return found, after
    return found, after


def id_of(job: Job, seal: bytes) -> str:
    """Return the id by which its client asks for a job."""
    found = JobId(
        partition=keys.partition(job.lane),
        lane=job.lane,
        position=job.position,
        op=job.write.op,
        accepted_at=job.accepted_at,
    )
    return found.seal(job.client, seal)
