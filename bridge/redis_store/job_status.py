# SPDX-License-Identifier: Apache-2.0
"""Turns what the reading scripts find into the documents that people read."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from bridge.outbox import Backlog
from bridge.redis_store import keys
from bridge.redis_store.records import read_time, unpack_entry, unpack_letter, unpack_settled
from schemas.job import Job, JobDocument, JobError, JobId, JobStatus, LaneBacklog, UpstreamAnswer
from schemas.lane import run_of

Script = Callable[[list[str], list[Any]], Any]

#: A letter can be replayed, die and be replayed again without end; its last fate is found within these steps.
_MOST_REPLAYS = 100


def describe(text: str, job_id: JobId, status: Script) -> JobDocument | None:
    """Return the document of a job, None if nothing is known of it (any more); ``status`` is status.lua.

    A job whose dead letter was replayed tells what became of the replay.
    """
    known: dict[str, Any] = {
        "job_id": text,
        "lane": job_id.lane,
        "run_id": run_of(job_id.lane),
        "op": job_id.op,
        "accepted_at": job_id.accepted_at,
    }
    lane, number, position = job_id.lane, job_id.partition, job_id.position
    for _ in range(_MOST_REPLAYS):
        lane_keys = [keys.lane_state(lane), keys.settled(lane), keys.ready(number), keys.dead(number)]
        lane_keys.append(keys.fate(lane, position))
        match status(lane_keys, [lane, position, keys.dead_field(lane, position)]):
            case [b"pending", attempts, failure, due]:
                return JobDocument(**known, **_pending(attempts, failure, due))
            case [b"dead", letter]:
                return JobDocument(**known, **_dead(letter))
            case [b"settled", record]:
                delivered = _delivered(position, record)
                return JobDocument(**known, **delivered) if delivered else None
            case [b"drained", fate]:
                verb, _, rest = fate.partition(b":")
                if verb == b"discarded":
                    return JobDocument(**known, status=JobStatus.DISCARDED, settled_at=read_time(rest))
                position = int(rest)
            case _:
                return None
    return None


def describe_backlog(lane: str, state: list[Any]) -> LaneBacklog:
    """Return the document of a lane's backlog; ``state`` is backlog.lua's result."""
    pending, size, oldest, now, attempts, failure, due, leased = state
    next_attempt = _time(due) if due and float(due) > int(now) and leased == b"0" else None
    return LaneBacklog(
        lane=lane,
        run_id=run_of(lane),
        pending=pending,
        bytes=int(size),
        oldest_accepted_at=_time(oldest) if oldest else None,
        lag=(int(now) - int(oldest)) / 1000 if oldest else 0.0,
        delivering=leased == b"1",
        attempts=int(attempts),
        next_attempt_at=next_attempt,
        error=_error(failure) if failure and pending else None,
    )


def count_backlog(client: Any) -> Backlog:  # noqa: ANN401 - see RedisOutbox
    """Return how much is waiting in all partitions."""
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        pipeline.zcard(keys.ready(number))
        pipeline.zrange(keys.ready(number), 0, 0, withscores=True)
        pipeline.hget(keys.held(number), "bytes")
        pipeline.zcard(keys.letters(number))
        pipeline.zrange(keys.oldest(number), 0, 0, withscores=True)
    found = pipeline.execute()
    seconds, micros = client.time()
    dues = [due for head in found[1::5] for _, due in head if due <= seconds * 1000 + micros // 1000]
    accepted = [at for head in found[4::5] for _, at in head]
    return Backlog(
        lanes=sum(found[0::5]),
        bytes=sum(int(size or 0) for size in found[2::5]),
        dead_letters=sum(found[3::5]),
        oldest_due=_time(min(dues)) if dues else None,
        oldest_accepted_at=_time(min(accepted)) if accepted else None,
    )


def _pending(attempts: bytes, failure: bytes, due: bytes) -> dict[str, Any]:
    if not failure:
        return {"status": JobStatus.PENDING}
    return {
        "status": JobStatus.PENDING,
        "attempts": int(attempts),
        "next_attempt_at": _time(due) if due else None,
        "error": _error(failure),
    }


def _delivered(position: int, record: bytes) -> dict[str, Any] | None:
    last, settled_at, call = unpack_settled(record)
    if position <= last - call.count or call.dead_lettered:
        # Its details, or what became of its dead letter, are older than the retention.
        return None
    return {
        "status": JobStatus.DELIVERED,
        "settled_at": settled_at,
        "attempts": call.attempts,
        "upstream": UpstreamAnswer(status=call.status, request_id=call.request_id),
    }


def _dead(stored: bytes) -> dict[str, Any]:
    buried_at, letter = unpack_letter(stored)
    return {
        "status": JobStatus.DEAD,
        "settled_at": buried_at,
        "attempts": letter.attempts,
        "error": JobError(reason=letter.reason, message=letter.message),
        "upstream": letter.answer,
    }


def _error(failure: bytes) -> JobError:
    reason, _, message = failure.decode().partition(": ")
    return JobError(reason=reason, message=message)


def _time(ms: bytes | float) -> dt.datetime:
    return dt.datetime.fromtimestamp(float(ms) / 1000, dt.UTC)


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
