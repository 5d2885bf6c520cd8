# SPDX-License-Identifier: Apache-2.0
"""The outbox in Redis. The contract is `bridge.outbox`; the keys are in ``keys.py``, what changes them in ``lua/``."""

import datetime as dt
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import redis

from bridge.errors import LeaseLost
from bridge.events import Observer
from bridge.outbox import (
    Accepted,
    Attempt,
    Backlog,
    Caps,
    Claim,
    DeadLettering,
    DeadLetterReason,
    DueLane,
    Durability,
    Extent,
    Offer,
    Settlement,
    Verdict,
)
from bridge.redis_store import keys
from bridge.redis_store.accept import WriteAcceptor
from bridge.redis_store.client import connect, read_durability, store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.job_status import count_backlog, describe, describe_backlog, id_of, lanes_of, pending_jobs
from bridge.redis_store.records import DeadLetter, FailedAttempt, SettledCall, last_sent, pack, unpack_entry
from bridge.redis_store.scripts import Scripts
from schemas.idempotency import Idempotency
from schemas.job import Job, JobDocument, JobId, LaneBacklog
from schemas.mlflow_limits import MAX_BATCH_BYTES, MAX_ENTITIES
from schemas.write import Write

__all__ = ["RedisOutbox", "connect"]

#: A worker that has not reported for this long is not counted.
_WORKER_SILENT = dt.timedelta(seconds=10)
#: Jobs of a lane that are read at a time.
_MOST_UNDELIVERED = 20_000
_NO_CAPS = Caps(lane=1 << 50, client=1 << 50, store=1 << 50)


class RedisOutbox:
    """See `bridge.outbox.Outbox` for every promise."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        retention: dt.timedelta,
        idempotency_ttl: dt.timedelta,
        caps: Caps = _NO_CAPS,
        observe: Observer | None = None,
    ) -> None:
        # redis-py annotates each result as that of a blocking or an asynchronous client, which checks nothing.
        self._client: Any = client
        self._scripts = Scripts(client)
        self._retention_ms = _ms(retention)
        self._seal = JobIdKey(client)
        self._acceptance = WriteAcceptor(
            client, self._scripts, self._seal, idempotency_ttl_ms=_ms(idempotency_ttl), caps=caps, observe=observe
        )

    def accept(self, write: Write, *, client: str, idempotency: Idempotency | None = None) -> Accepted:
        """Accept one write, or raise what its verdict is."""
        [verdict] = self._acceptance.accept_all(
            [Offer(write=write, client=client, idempotency=idempotency)], repeated=False
        )
        if isinstance(verdict, Accepted):
            return verdict
        raise verdict

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        """Accept each write at the end of its lane, in few round trips."""
        return self._acceptance.accept_all(offers, repeated=repeated)

    def claim(self, lane: str, *, lease: dt.timedelta) -> Claim | None:
        """Claim a lane that is due."""
        token = secrets.token_hex(8)
        number = keys.partition(lane)
        lane_keys = [keys.lane_state(lane), keys.writes(lane), keys.ready(number), keys.oldest(number)]
        lane_keys.append(keys.run_alias(lane))
        with store_errors():
            seal = self._seal.key()
            found = self._scripts.claim(lane_keys, [lane, token, _ms(lease), MAX_ENTITIES, MAX_BATCH_BYTES])
        if found is None:
            return None
        alias, head = found
        return _claim(lane, token, head, seal, alias=alias.decode() or None)

    def settle(self, claim: Claim, settlement: Settlement, *, lease: dt.timedelta) -> Claim | None:
        """Write an outcome down for the jobs at the head of the claim."""
        lane = claim.lane
        number = keys.partition(lane)
        lane_keys = [
            keys.lane_state(lane),
            keys.writes(lane),
            keys.ready(number),
            keys.settled(lane),
            keys.dead(number),
            keys.letters(number),
            keys.attempts(lane),
            keys.held(number),
            keys.oldest(number),
            keys.writers(number),
        ]
        with store_errors():
            seal = self._seal.key()
            head = self._scripts.settle(lane_keys, self._settle_arguments(claim, settlement, lease))
        if head == b"lost":
            raise LeaseLost(lane)
        return None if head == b"empty" else _claim(lane, claim.token, head, seal, alias=claim.alias)

    def _settle_arguments(self, claim: Claim, settlement: Settlement, lease: dt.timedelta) -> list[Any]:
        count, dead_lettering, refused = settlement.count, settlement.dead_lettering, settlement.refused
        record = SettledCall(
            count, settlement.attempts, settlement.status, settlement.request_id, dead_lettering is not None
        )
        freed: Counter[str] = Counter()
        for job in claim.jobs[:count]:
            freed[job.client] += job.size
        return [
            *(claim.lane, claim.token, _ms(lease), MAX_ENTITIES, MAX_BATCH_BYTES),
            *(claim.settled, count, pack(record), self._retention_ms, int(settlement.alone)),
            int(dead_lettering is not None and dead_lettering.reason is DeadLetterReason.DENIED),
            *((refused.writes, _note(refused)) if refused else (0, "")),
            *(len(freed), *chain.from_iterable(freed.items())),
            *(letters(self._client, claim, settlement, dead_lettering) if dead_lettering else ()),
        ]

    def release(
        self,
        claim: Claim,
        *,
        after: dt.timedelta,
        held: str | None = None,
        attempt: Attempt | None = None,
        thaw: bool = True,
    ) -> None:
        """Give the lane back, due again after a while."""
        lane = claim.lane
        lane_keys = [keys.lane_state(lane), keys.ready(keys.partition(lane)), keys.attempts(lane)]
        arguments: list[Any] = [lane, claim.token, _ms(after)]
        if attempt:
            failure = f"{attempt.reason}: {attempt.message}"
            arguments += [failure, attempt.writes, int(thaw), _note(attempt), attempt.broke]
        else:
            arguments += [f"unavailable: {held}" if held else "", 0, int(thaw), "", ""]
        with store_errors():
            if not self._scripts.release(lane_keys, arguments):
                raise LeaseLost(lane)

    def due(self, *, limit: int, guard: dt.timedelta) -> list[DueLane]:
        """Return lanes that are due, from the partitions that nobody has swept within ``guard``."""
        with store_errors():
            return due_lanes(self._client, self._scripts, limit=limit, guard_ms=_ms(guard))

    def job(self, job_id: str, *, client: str | None) -> JobDocument | None:
        """Return what is known of a job."""
        with store_errors():
            found = JobId.read(job_id) if client is None else JobId.unseal(job_id, client, self._seal.key())
            known = found and found.partition == keys.partition(found.lane)
            return describe(job_id, found, self._scripts.status) if found and known else None

    def pending_jobs(self, lane: str, *, client: str | None, after: int, limit: int) -> tuple[list[str], int | None]:
        """Return the ids of the client's pending jobs of a lane."""
        with store_errors():
            found, last = pending_jobs(self._client, lane, of=client, after=after, limit=limit)
            return [id_of(job, self._seal.key()) for job in found], last

    def undelivered(self, lane: str, *, after: int, most_bytes: int) -> tuple[list[Job], int | None]:
        """Return the jobs that are pending in a lane, whoever has written them."""
        with store_errors():
            return pending_jobs(
                self._client, lane, of=None, after=after, limit=_MOST_UNDELIVERED, most_bytes=most_bytes
            )

    def lanes_of(self, client: str, *, limit: int) -> list[str]:
        """Return lanes in which writes of this client are pending."""
        with store_errors():
            return lanes_of(self._client, client, limit=limit)

    def extents(self, lanes: Sequence[str]) -> dict[str, Extent]:
        """Return how far each lane goes, and is settled; and so for the names that runs among them have."""
        with store_errors():
            found = {}
            while lanes:
                pipeline = self._client.pipeline(transaction=False)
                for lane in lanes:
                    pipeline.hmget(keys.lane_state(lane), "accepted", "settled", "attempts")
                    pipeline.get(keys.run_alias(lane))
                answers = pipeline.execute()
                for lane, (accepted, settled, attempts) in zip(lanes, answers[::2], strict=True):
                    found[lane] = Extent(int(accepted or 0), int(settled or 0), fails=int(attempts or 0) > 0)
                lanes = [alias.decode() for alias in answers[1::2] if alias and alias.decode() not in found]
            return found

    def lane_backlog(self, lane: str) -> LaneBacklog:
        """Return what is pending of one run."""
        lane_keys = [keys.lane_state(lane), keys.writes(lane), keys.ready(keys.partition(lane))]
        with store_errors():
            return describe_backlog(lane, self._scripts.backlog(lane_keys, [lane]))

    def backlog(self) -> Backlog:
        """Return how much is waiting."""
        with store_errors():
            return count_backlog(self._client)

    def report_worker(self, name: str) -> None:
        """Note that this worker process is alive."""
        with store_errors():
            seconds, _ = self._client.time()
            self._client.zadd(keys.WORKERS, {name: seconds})
            self._client.zremrangebyscore(keys.WORKERS, "-inf", seconds - 3600)

    def workers(self) -> int:
        """Return how many worker processes have reported lately."""
        with store_errors():
            seconds, _ = self._client.time()
            return int(self._client.zcount(keys.WORKERS, seconds - _WORKER_SILENT.total_seconds(), "+inf"))

    def durability(self) -> Durability:
        """Ask the store how durable an accepted write is."""
        with store_errors():
            return read_durability(self._client)


def _claim(lane: str, token: str, head: list[bytes], seal: bytes, *, alias: str | None) -> Claim:
    settled = int(head[0])
    jobs = tuple(
        unpack_entry(entry, lane=lane, position=position) for position, entry in enumerate(head[9:], settled + 1)
    )
    return Claim(
        lane=lane,
        token=token,
        settled=settled,
        attempts=int(head[1]),
        claims=int(head[2]),
        tried_alone=head[3] == b"1",
        resumed=head[4] == b"1",
        broke=int(head[5]),
        broke_alone=int(head[6]),
        broke_since=_time(int(head[7])) if head[7] else None,
        denied_since=_time(int(head[8])) if head[8] else None,
        jobs=jobs,
        job_id=id_of(jobs[0], seal) if jobs else None,
        alias=alias,
    )


def _note(attempt: Attempt) -> bytes:
    status, error_code = attempt.status, attempt.error_code
    return pack(FailedAttempt(attempt.writes, attempt.reason, attempt.message, status, error_code))


def _ms(span: dt.timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _time(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)


def due_lanes(client: Any, scripts: Scripts, *, limit: int, guard_ms: int) -> list[DueLane]:  # noqa: ANN401 - redis-py
    """Return lanes that are due, no more than each partition's part of the limit, each with its client.

    It begins at another partition each time: one that always has many due lanes must not keep the others' waiting.
    """
    lanes: list[str] = []
    start, most = random.randrange(keys.PARTITIONS), max(1, limit // keys.PARTITIONS)  # noqa: S311 - it only spreads
    for number in (*range(start, keys.PARTITIONS), *range(start)):
        if len(lanes) < limit:
            arguments = [min(most, limit - len(lanes)), guard_ms, random.random()]  # noqa: S311
            found = scripts.due([keys.ready(number), keys.sweep(number)], arguments)
            lanes += [lane.decode() for lane in found]
    pipeline = client.pipeline(transaction=False)
    for lane in lanes:
        pipeline.hget(keys.lane_state(lane), "client")
    return [DueLane(lane, (owner or b"").decode()) for lane, owner in zip(lanes, pipeline.execute(), strict=True)]


def letters(client: Any, claim: Claim, settlement: Settlement, dead_lettering: DeadLettering) -> list[bytes | str]:  # noqa: ANN401 - see RedisOutbox
    """Return field, letter and line of the index for each buried job, as settle.lua takes them.

    The lane is read once more: whoever holds the lease finds it as it was claimed.
    """
    lane = claim.lane
    entries = client.lrange(keys.writes(lane), 0, settlement.count - 1)
    notes = client.lrange(keys.attempts(lane), 0, -1)
    result: list[bytes | str] = []
    for job, entry in zip(claim.jobs, entries, strict=False):
        position = job.position
        earlier = tuple(note for note in notes if last_sent(note) >= position)
        attempts = max(settlement.attempts, len(earlier) + 1)
        letter = DeadLetter(
            dead_lettering.reason, dead_lettering.message, attempts, dead_lettering.answer, entry, earlier
        )
        line = keys.letter_line(lane, position, dead_lettering.reason, job.client)
        result += [keys.dead_field(lane, position), pack(letter), line]
    return result
