# SPDX-License-Identifier: Apache-2.0
"""The outbox in Redis. `bridge.outbox` has the contract, ``keys.py`` the key map, ``lua/`` the state changes."""

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
    Attempt,
    Backlog,
    Caps,
    Claim,
    ClientBacklog,
    DeadLettering,
    DeadLetterReason,
    DueLane,
    Durability,
    Extent,
    Offer,
    SentOffers,
    Settlement,
    Verdict,
)
from bridge.redis_store import keys
from bridge.redis_store.accept import WriteAcceptor
from bridge.redis_store.client import connect, read_durability, store_errors
from bridge.redis_store.client_backlog import count_client_backlog
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.job_status import (
    client_job_id,
    job_document,
    lane_backlog,
    lanes_of,
    pending_jobs,
    total_backlog,
)
from bridge.redis_store.pipelines import run
from bridge.redis_store.records import DeadLetter, FailedAttempt, SettledCall, last_sent_position, pack, unpack_entry
from bridge.redis_store.scripts import Scripts
from bridge.redis_store.store_format import declare_format
from bridge.redis_store.timestamps import from_ms, to_ms
from schemas.job import Job, JobDocument, JobId, LaneBacklog
from schemas.mlflow_limits import MAX_BATCH_BYTES, MAX_ENTITIES

__all__ = ["RedisOutbox", "connect"]

#: A worker is alive for this time after its last report, which is deleted later.
_WORKER_TTL_S, _WORKER_RETENTION_S = 10, 3600
#: Jobs of a lane that one call of ``undelivered`` returns at most.
_MAX_UNDELIVERED = 20_000
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
        # Any: redis-py annotates results as "sync or async", which mypy can't narrow.
        self._client: Any = client
        self._scripts = Scripts(client)
        self._retention_ms = to_ms(retention)
        self._job_id_key = JobIdKey(client)
        self._acceptor = WriteAcceptor(
            client,
            self._scripts,
            self._job_id_key,
            idempotency_ttl_ms=to_ms(idempotency_ttl),
            caps=caps,
            observe=observe,
        )

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        """Accept each write at the end of its lane, in few round trips."""
        return self._acceptor.send(offers, repeated=repeated).verdicts()

    def send(self, offers: Sequence[Offer]) -> SentOffers:
        """Begin `accept_all`, so that an event loop does not have to wait for the store."""
        return self._acceptor.send(offers, repeated=False)

    def claim(self, lane: str, *, lease: dt.timedelta) -> Claim | None:
        """Claim a lane that is due."""
        token = secrets.token_hex(8)
        number = keys.partition(lane)
        lane_keys = [keys.lane_state(lane), keys.writes(lane), keys.ready(number), keys.oldest(number)]
        lane_keys.append(keys.run_alias(lane))
        with store_errors():
            job_id_key = self._job_id_key.key()
            claimed = self._scripts.claim(lane_keys, [lane, token, to_ms(lease), MAX_ENTITIES, MAX_BATCH_BYTES])
        if claimed is None:
            return None
        alias, head = claimed
        return _read_claim(lane, token, head, job_id_key, alias=alias.decode() or None)

    def settle(self, claim: Claim, settlement: Settlement, *, lease: dt.timedelta) -> Claim | None:
        """Record an outcome for the jobs at the head of the claim."""
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
            keys.deliveries(number),
        ]
        with store_errors():
            job_id_key = self._job_id_key.key()
            head = self._scripts.settle(lane_keys, self._settle_arguments(claim, settlement, lease))
        if head == b"lost":
            raise LeaseLost(lane)
        return None if head == b"empty" else _read_claim(lane, claim.token, head, job_id_key, alias=claim.alias)

    def _settle_arguments(self, claim: Claim, settlement: Settlement, lease: dt.timedelta) -> list[Any]:
        """Return the arguments of settle.lua, a line for each of the lines that document its ARGV."""
        count, dead_lettering, refused = settlement.count, settlement.dead_lettering, settlement.refused
        record = SettledCall(
            count, settlement.attempts, settlement.status, settlement.request_id, dead_lettering is not None
        )
        settled_bytes: Counter[str] = Counter()
        for job in claim.jobs[:count]:
            settled_bytes[job.client] += job.size
        return [
            *(claim.lane, claim.token, to_ms(lease)),
            *(MAX_ENTITIES, MAX_BATCH_BYTES),
            *(claim.settled, count),
            *(pack(record), self._retention_ms),
            int(settlement.sends_alone),
            int(dead_lettering is not None and dead_lettering.reason is DeadLetterReason.DENIED),
            *((refused.writes, _attempt_record(refused)) if refused else (0, "")),
            len(settled_bytes),
            *chain.from_iterable(settled_bytes.items()),
            *(self._letter_arguments(claim, settlement, dead_lettering) if dead_lettering else ()),
        ]

    def _letter_arguments(
        self, claim: Claim, settlement: Settlement, dead_lettering: DeadLettering
    ) -> list[bytes | str]:
        """Return field, letter and index line of each dead-lettered job, as settle.lua takes them.

        The entries are read again as they are stored: while the lease is held, they are those of the claim.
        """
        lane = claim.lane
        entries = self._client.lrange(keys.writes(lane), 0, settlement.count - 1)
        notes = self._client.lrange(keys.attempts(lane), 0, -1)
        arguments: list[bytes | str] = []
        for job, entry in zip(claim.jobs, entries, strict=False):
            position = job.position
            earlier_notes = tuple(note for note in notes if last_sent_position(note) >= position)
            attempts = max(settlement.attempts, len(earlier_notes) + 1)
            letter = DeadLetter(
                dead_lettering.reason, dead_lettering.message, attempts, dead_lettering.answer, entry, earlier_notes
            )
            line = keys.index_line(lane, position, dead_lettering.reason, job.client)
            arguments += [keys.dead_field(lane, position), pack(letter), line]
        return arguments

    def release(
        self,
        claim: Claim,
        *,
        after: dt.timedelta,
        reason: str | None = None,
        attempt: Attempt | None = None,
        thaw: bool = True,
    ) -> None:
        """Release the lane, due again after a delay."""
        lane = claim.lane
        lane_keys = [keys.lane_state(lane), keys.ready(keys.partition(lane)), keys.attempts(lane)]
        arguments: list[Any] = [lane, claim.token, to_ms(after)]
        if attempt:
            failure = f"{attempt.reason}: {attempt.message}"
            arguments += [failure, attempt.writes, int(thaw), _attempt_record(attempt), attempt.failure_kind]
        else:
            arguments += [f"unavailable: {reason}" if reason else "", 0, int(thaw), "", ""]
        with store_errors():
            if not self._scripts.release(lane_keys, arguments):
                raise LeaseLost(lane)

    def due(self, *, limit: int, guard: dt.timedelta) -> list[DueLane]:
        """Return lanes that are due, at most each partition's share of the limit, from partitions not swept recently.

        Each call begins at another partition: one that always has many due lanes must not delay the others.
        """
        max_of_partition = max(1, limit // keys.PARTITIONS)
        first = random.randrange(keys.PARTITIONS)  # noqa: S311 - it only spreads
        lanes: list[str] = []
        with store_errors():
            for number in (*range(first, keys.PARTITIONS), *range(first)):
                if len(lanes) < limit:
                    max_lanes = min(max_of_partition, limit - len(lanes))
                    arguments = [max_lanes, to_ms(guard), random.random()]  # noqa: S311
                    due = self._scripts.due([keys.ready(number), keys.sweep(number)], arguments)
                    lanes += [lane.decode() for lane in due]
            pipeline = self._client.pipeline(transaction=False)
            for lane in lanes:
                pipeline.hget(keys.lane_state(lane), "client")
            clients = pipeline.execute()
        return [DueLane(lane, (client or b"").decode()) for lane, client in zip(lanes, clients, strict=True)]

    def job(self, job_id: str, *, client: str | None) -> JobDocument | None:
        """Return the document of a job."""
        with store_errors():
            parsed = JobId.read(job_id) if client is None else JobId.unseal(job_id, client, self._job_id_key.key())
            if not parsed or parsed.partition != keys.partition(parsed.lane):
                return None
            return job_document(job_id, parsed, self._scripts.status)

    def pending_jobs(self, lane: str, *, client: str | None, after: int, limit: int) -> tuple[list[str], int | None]:
        """Return the ids of the client's pending jobs of a lane."""
        with store_errors():
            jobs, last_position = pending_jobs(self._client, lane, client_name=client, after=after, limit=limit)
            return [client_job_id(job, self._job_id_key.key()) for job in jobs], last_position

    def undelivered(self, lane: str, *, after: int, max_bytes: int) -> tuple[list[Job], int | None]:
        """Return the pending jobs of a lane, of all clients."""
        with store_errors():
            return pending_jobs(
                self._client, lane, client_name=None, after=after, limit=_MAX_UNDELIVERED, max_bytes=max_bytes
            )

    def lanes_of(self, client: str, *, limit: int) -> list[str]:
        """Return lanes in which writes of this client are pending."""
        with store_errors():
            return lanes_of(self._client, client, limit=limit)

    def extents(self, lanes: Sequence[str]) -> dict[str, Extent]:
        """Return the extent of each lane. The lane of a run id brings that of the run's name, if it has one."""
        return self.extents_of([lanes])[0]

    def extents_of(self, groups: Sequence[Sequence[str]]) -> list[dict[str, Extent]]:
        """Return the extents of each group of lanes, read together."""
        extents: dict[str, Extent] = {}
        alias_of: dict[str, str] = {}
        lanes = groups[0] if len(groups) == 1 else list(dict.fromkeys(chain.from_iterable(groups)))
        with store_errors():
            while lanes:
                results = run(self._client, list(chain.from_iterable(map(_extent_commands, lanes))))
                states, aliases = results[::2], results[1::2]
                for lane, (accepted, settled, attempts) in zip(lanes, states, strict=True):
                    extents[lane] = Extent(int(accepted or 0), int(settled or 0), is_failing=int(attempts or 0) > 0)
                new_aliases = {lane: alias.decode() for lane, alias in zip(lanes, aliases, strict=True) if alias}
                alias_of |= new_aliases
                lanes = [alias for alias in dict.fromkeys(new_aliases.values()) if alias not in extents]
        return [{lane: extents[lane] for lane in _with_aliases(group, alias_of)} for group in groups]

    def lane_backlog(self, lane: str) -> LaneBacklog:
        """Return the backlog of one lane."""
        lane_keys = [keys.lane_state(lane), keys.writes(lane), keys.ready(keys.partition(lane))]
        with store_errors():
            return lane_backlog(lane, self._scripts.backlog(lane_keys, [lane]))

    def client_backlog(self, client: str) -> ClientBacklog:
        """Return what is pending of one client."""
        with store_errors():
            return count_client_backlog(self._client, client)

    def backlog(self) -> Backlog:
        """Return the backlog of the whole store."""
        with store_errors():
            return total_backlog(self._client)

    def report_worker(self, name: str) -> None:
        """Note that this worker process is alive."""
        with store_errors():
            seconds, _ = self._client.time()
            self._client.zadd(keys.WORKERS, {name: seconds})
            self._client.zremrangebyscore(keys.WORKERS, "-inf", seconds - _WORKER_RETENTION_S)

    def workers(self) -> int:
        """Return how many worker processes have reported recently."""
        with store_errors():
            seconds, _ = self._client.time()
            return int(self._client.zcount(keys.WORKERS, seconds - _WORKER_TTL_S, "+inf"))

    def durability(self) -> Durability:
        """Return how durable an accepted write is."""
        with store_errors():
            return read_durability(self._client)

    def declare_format(self) -> None:
        """Declare that this release writes to the store."""
        with store_errors():
            declare_format(self._client)


def _read_claim(lane: str, token: str, head: list[bytes], job_id_key: bytes, *, alias: str | None) -> Claim:
    """Return the claim that claim.lua or settle.lua returned as ``head``."""
    settled, attempts, claims, tried_alone, resumed = head[:5]
    failed_calls, failed_alone, failed_alone_since, denied_since = head[5:9]
    entries = head[9:]
    jobs = tuple(
        unpack_entry(entry, lane=lane, position=position) for position, entry in enumerate(entries, int(settled) + 1)
    )
    return Claim(
        lane=lane,
        token=token,
        settled=int(settled),
        attempts=int(attempts),
        claims=int(claims),
        was_tried_alone=tried_alone == b"1",
        is_resumed=resumed == b"1",
        failed_calls=int(failed_calls),
        failed_alone=int(failed_alone),
        failed_alone_since=from_ms(failed_alone_since) if failed_alone_since else None,
        denied_since=from_ms(denied_since) if denied_since else None,
        jobs=jobs,
        job_id=client_job_id(jobs[0], job_id_key) if jobs else None,
        alias=alias,
    )


def _extent_commands(lane: str) -> list[tuple[str, ...]]:
    return [("HMGET", keys.lane_state(lane), "accepted", "settled", "attempts"), ("GET", keys.run_alias(lane))]


def _with_aliases(lanes: Sequence[str], alias_of: dict[str, str]) -> list[str]:
    """Return the lanes, with their aliases and those of the aliases, each once."""
    extended = dict.fromkeys(lanes)
    added = list(lanes)
    while added:
        added = [alias_of[lane] for lane in added if alias_of.get(lane, lane) not in extended]
        extended |= dict.fromkeys(added)
    return list(extended)


def _attempt_record(attempt: Attempt) -> bytes:
    status, error_code = attempt.status, attempt.error_code
    return pack(FailedAttempt(attempt.writes, attempt.reason, attempt.message, status, error_code))
