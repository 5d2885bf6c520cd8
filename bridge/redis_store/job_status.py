# SPDX-License-Identifier: Apache-2.0
"""Reads jobs, lanes and backlogs from the store, for the adapters that return them as documents."""

from collections.abc import Callable
from typing import Any

from bridge.outbox import Backlog
from bridge.redis_store import keys
from bridge.redis_store.records import unpack_entry, unpack_letter, unpack_settled
from bridge.redis_store.timestamps import from_ms, store_time_ms
from schemas.job import Job, JobDocument, JobError, JobId, JobStatus, LaneBacklog, UpstreamAnswer
from schemas.lane import run_of

#: A Lua script as redis-py runs it: keys, arguments.
Script = Callable[[list[str], list[Any]], Any]

#: A replay can become a dead letter and be replayed again without end; a job is followed through this many replays.
_MAX_REPLAYS = 100
#: Writes are read in chunks of about this many bytes, with these bounds on their number.
_CHUNK_BYTES, _FIRST_CHUNK, _MAX_CHUNK = 1 << 20, 10, 500
#: Writes that one request reads at most, so that other clients' writes don't delay it.
_MAX_SCANNED = 20_000


def job_document(text: str, job_id: JobId, status_script: Script) -> JobDocument | None:
    """Return the document of a job, None if it is not known (any more); ``status_script`` is status.lua.

    A job has the status of the replay once its dead letter was replayed.
    """
    fields: dict[str, Any] = {
        "job_id": text,
        "lane": job_id.lane,
        "run_id": run_of(job_id.lane),
        "op": job_id.op,
        "accepted_at": job_id.accepted_at,
    }
    lane, partition, position = job_id.lane, job_id.partition, job_id.position
    for _ in range(_MAX_REPLAYS):
        lane_keys = [keys.lane_state(lane), keys.settled(lane), keys.ready(partition), keys.dead(partition)]
        lane_keys.append(keys.fate(lane, position))
        match status_script(lane_keys, [lane, position, keys.dead_field(lane, position)]):
            case [b"pending", attempts, failure, due]:
                return JobDocument(**fields, **_pending_fields(attempts, failure, due))
            case [b"dead", letter]:
                return JobDocument(**fields, **_dead_fields(letter))
            case [b"settled", record]:
                delivered = _delivered_fields(position, record)
                return JobDocument(**fields, **delivered) if delivered else None
            case [b"fate", fate]:
                verb, _, value = fate.partition(b":")
                if verb == b"discarded":
                    return JobDocument(**fields, status=JobStatus.DISCARDED, settled_at=from_ms(value))
                # The letter was replayed: its write went to this position of the lane.
                position = int(value)
            case _:
                return None
    return None


def client_job_id(job: Job, job_id_key: bytes) -> str:
    """Return the id of a job as its client has it."""
    job_id = JobId(
        partition=keys.partition(job.lane),
        lane=job.lane,
        position=job.position,
        op=job.write.op,
        accepted_at=job.accepted_at,
    )
    return job_id.seal(job.client, job_id_key)


def pending_jobs(
    client: Any,  # noqa: ANN401 - see RedisOutbox
    lane: str,
    *,
    client_name: str | None,
    after: int,
    limit: int,
    max_bytes: int | None = None,
) -> tuple[list[Job], int | None]:
    """Return the jobs behind the position ``after``, in order, and the position to continue behind; None at the end.

    Only jobs of the client of this name, or of all if it is None. Reading ends once the jobs have ``max_bytes``.
    """
    jobs: list[Job] = []
    settled, scanned, size = int(client.hget(keys.lane_state(lane), "settled") or 0), 0, 0
    while scanned < _MAX_SCANNED:
        begin = max(0, after - settled)
        pipeline = client.pipeline(transaction=True)
        pipeline.hget(keys.lane_state(lane), "settled")
        pipeline.lrange(keys.writes(lane), begin, begin + _chunk_length(scanned, size) - 1)
        settled_now, entries = pipeline.execute()
        if int(settled_now or 0) != settled:
            # Writes were settled since ``begin`` was computed.
            settled = int(settled_now or 0)
            continue
        if not entries:
            return jobs, None
        for position, entry in enumerate(entries, settled + begin + 1):
            job, after = unpack_entry(entry, lane=lane, position=position), position
            scanned, size = scanned + 1, size + job.size
            if client_name in (None, job.client):
                jobs.append(job)
            if len(jobs) == limit or (max_bytes is not None and size >= max_bytes):
                return jobs, after
    return jobs, after


def lanes_of(client: Any, name: str, *, limit: int) -> list[str]:  # noqa: ANN401 - see RedisOutbox
    """Return up to ``limit`` lanes in which writes of the client of this name are pending."""
    pipeline = client.pipeline(transaction=False)
    prefix = f"{name}\n"
    for number in range(keys.PARTITIONS):
        # ``\x0b`` is the character after a line feed: the range holds all members with the prefix.
        pipeline.zrangebylex(keys.writers(number), f"[{prefix}", f"({name}\x0b", start=0, num=limit)
    lanes = [member.decode().removeprefix(prefix) for members in pipeline.execute() for member in members]
    return lanes[:limit]


def lane_backlog(lane: str, state: list[Any]) -> LaneBacklog:
    """Return the document of a lane's backlog; ``state`` is the result of backlog.lua."""
    pending, size, oldest_ms, now_ms, attempts, failure, due_ms, leased = state
    next_attempt_at = from_ms(due_ms) if due_ms and float(due_ms) > int(now_ms) and leased == b"0" else None
    return LaneBacklog(
        lane=lane,
        run_id=run_of(lane),
        pending=pending,
        bytes=int(size),
        oldest_accepted_at=from_ms(oldest_ms) if oldest_ms else None,
        lag=(int(now_ms) - int(oldest_ms)) / 1000 if oldest_ms else 0.0,
        delivering=leased == b"1",
        attempts=int(attempts),
        next_attempt_at=next_attempt_at,
        error=_job_error(failure) if failure and pending else None,
    )


def total_backlog(client: Any) -> Backlog:  # noqa: ANN401 - see RedisOutbox
    """Return the backlog of all partitions together."""
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        pipeline.zcard(keys.ready(number))
        pipeline.zrange(keys.ready(number), 0, 0, withscores=True)
        pipeline.hget(keys.held(number), "bytes")
        pipeline.zcard(keys.letters(number))
        pipeline.zrange(keys.oldest(number), 0, 0, withscores=True)
    results = pipeline.execute()
    # The results of the five commands, by command: of each, one for every partition.
    lane_counts, first_due, held_bytes, letter_counts, first_accepted = (results[command::5] for command in range(5))
    now_ms = store_time_ms(client)
    overdue_ms = [due_ms for head in first_due for _, due_ms in head if due_ms <= now_ms]
    accepted_ms = [oldest_ms for head in first_accepted for _, oldest_ms in head]
    return Backlog(
        lanes=sum(lane_counts),
        bytes=sum(int(size or 0) for size in held_bytes),
        dead_letters=sum(letter_counts),
        oldest_due=from_ms(min(overdue_ms)) if overdue_ms else None,
        oldest_accepted_at=from_ms(min(accepted_ms)) if accepted_ms else None,
    )


def _pending_fields(attempts: bytes, failure: bytes, due: bytes) -> dict[str, Any]:
    if not failure:
        return {"status": JobStatus.PENDING}
    return {
        "status": JobStatus.PENDING,
        "attempts": int(attempts),
        "next_attempt_at": from_ms(due) if due else None,
        "error": _job_error(failure),
    }


def _dead_fields(stored: bytes) -> dict[str, Any]:
    dead_lettered_at, letter = unpack_letter(stored)
    return {
        "status": JobStatus.DEAD,
        "settled_at": dead_lettered_at,
        "attempts": letter.attempts,
        "error": JobError(reason=letter.reason, message=letter.message),
        "upstream": letter.answer,
    }


def _delivered_fields(position: int, record: bytes) -> dict[str, Any] | None:
    last_position, settled_at, call = unpack_settled(record)
    if position <= last_position - call.count or call.dead_lettered:
        # Its own record, or the fate of its dead letter, is older than the retention.
        return None
    return {
        "status": JobStatus.DELIVERED,
        "settled_at": settled_at,
        "attempts": call.attempts,
        "upstream": UpstreamAnswer(status=call.status, request_id=call.request_id),
    }


def _job_error(failure: bytes) -> JobError:
    reason, _, message = failure.decode().partition(": ")
    return JobError(reason=reason, message=message)


def _chunk_length(scanned: int, size: int) -> int:
    """Return how many writes to read next, after ``scanned`` of them had ``size`` bytes."""
    if not scanned:
        return _FIRST_CHUNK
    return min(max(1, _CHUNK_BYTES * scanned // max(1, size)), _MAX_CHUNK)
