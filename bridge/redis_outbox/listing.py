# SPDX-License-Identifier: Apache-2.0
"""Lists the jobs that wait in a lane."""

from typing import Any

from bridge.redis_outbox import keys
from bridge.redis_outbox.records import unpack_entry
from schemas.job import Job, JobId

#: How many writes are read at first, and at most, at a time: as many as make about this many bytes.
_FIRST_CHUNK, _LARGEST_CHUNK, _CHUNK_BYTES = 10, 500, 1 << 20
#: How many writes are looked at for one answer, so that other clients' writes don't hold a request up.
_MOST = 20_000


def pending_jobs(
    client: Any,  # noqa: ANN401 - see RedisOutbox
    lane: str,
    *,
    of: str | None,
    after: int,
    limit: int,
    most_bytes: int | None = None,
) -> tuple[list[Job], int | None]:
    """Return the jobs behind a position, in order, and the position to go on behind; None at the end.

    ``of`` a client, or of all. No further ones are read once these have ``most_bytes``.
    """
    found: list[Job] = []
    settled, looked_at, size = int(client.hget(keys.lane_state(lane), "settled") or 0), 0, 0
    while looked_at < _MOST:
        begin = max(0, after - settled)
        pipeline = client.pipeline(transaction=True)
        pipeline.hget(keys.lane_state(lane), "settled")
        pipeline.lrange(keys.writes(lane), begin, begin + _chunk(looked_at, size) - 1)
        moved, entries = pipeline.execute()
        if int(moved or 0) != settled:
            # The lane has moved on since it was decided where to begin.
            settled = int(moved or 0)
            continue
        if not entries:
            return found, None
        for position, entry in enumerate(entries, settled + begin + 1):
            job, after = unpack_entry(entry, lane=lane, position=position), position
            looked_at, size = looked_at + 1, size + job.size
            if of in (None, job.client):
                found.append(job)
            if len(found) == limit or (most_bytes is not None and size >= most_bytes):
                return found, after
    return found, after


def _chunk(looked_at: int, size: int) -> int:
    if not looked_at:
        return _FIRST_CHUNK
    return min(max(1, _CHUNK_BYTES * looked_at // max(1, size)), _LARGEST_CHUNK)


def lanes_of(client: Any, name: str, *, limit: int) -> list[str]:  # noqa: ANN401 - see RedisOutbox
    """Return lanes in which writes of the client of this name are pending, at most so many."""
    pipeline = client.pipeline(transaction=False)
    begin = f"{name}\n"
    for number in range(keys.PARTITIONS):
        pipeline.zrangebylex(keys.writers(number), f"[{begin}", f"({name}\x0b", start=0, num=limit)
    found = [member.decode().removeprefix(begin) for members in pipeline.execute() for member in members]
    return found[:limit]


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
