# SPDX-License-Identifier: Apache-2.0
"""The dead letters and the drains in Redis. The contracts are `DeadLetters` and `DrainLog` of `bridge.outbox`.

The index has a line per letter: ``<time, ms>/<lane>/<position>/<reason>/<client>``, the time of its dead-lettering.
Every filter applies to the line alone, so a letter is read only when it is shown or drained.
"""

import base64
import datetime as dt
import heapq
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from bridge.outbox.dead_letters import InvalidCursor, LetterLookup
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.job_status import client_job_id
from bridge.redis_store.records import DeadLetter, pack_replay, unpack_entry, unpack_letter, unpack_note
from bridge.redis_store.scripts import load
from bridge.redis_store.timestamps import from_ms, to_ms
from bridge.upstream.mlflow_calls import single_call
from schemas.dead_letter import (
    AttemptDocument,
    Drain,
    DrainState,
    LetterDocument,
    LetterFilter,
    LetterPage,
    LetterSummary,
    Replayed,
    WriteDocument,
)
from schemas.job import Job, JobId
from schemas.lane import run_of

#: Lines of the index that are read at a time.
_CHUNK_LINES = 500
#: Lines that one page scans at most, so that a rare reason does not delay a request.
_MAX_SCANNED_LINES = 20_000
#: How long an ended drain is kept.
_DRAIN_RETENTION = dt.timedelta(days=7)
#: The largest time that the index can hold.
_MAX_MS = 10**13 - 1
_LETTER_ID = re.compile(r"(.+)\.(\d{1,16})")


class RedisDeadLetters:
    """See `bridge.outbox.dead_letters.DeadLetters` for every promise."""

    def __init__(self, client: redis.Redis, *, fate_ttl: dt.timedelta) -> None:
        self._client: Any = client
        self._job_id_key = JobIdKey(client)
        self._fate_ttl_ms = to_ms(fate_ttl)
        self._replay = load(client, "replay")
        self._discard = load(client, "discard")

    def page(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterPage:
        """Return letters, the oldest first."""
        found = self.find(wanted, after=after, limit=limit)
        with store_errors():
            # Each is summarised before the next is read: letters can be long.
            read = (self._read(letter_id) for letter_id in found.letter_ids)
            letters = [LetterSummary(**letter.summary(self._job_id_key.key())) for letter in read if letter]
        return LetterPage(letters=letters, next=found.cursor)

    def find(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterLookup:
        """Return the ids of letters, the oldest first."""
        letter_ids: list[str] = []
        line: _IndexLine | None = None
        with store_errors():
            for scanned, line in enumerate(self._scan(wanted, _decode_cursor(after)), 1):
                if line.matches(wanted):
                    letter_ids.append(line.letter_id)
                if len(letter_ids) == limit or scanned == _MAX_SCANNED_LINES:
                    return LetterLookup(letter_ids=letter_ids, cursor=_encode_cursor(line))
        return LetterLookup(letter_ids=letter_ids, cursor=None)

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters match the filter."""
        with store_errors():
            return sum(line.matches(wanted) for line in self._scan(wanted, b""))

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter."""
        with store_errors():
            found = self._read(letter_id)
            return found.document(self._job_id_key.key()) if found else None

    def replay(self, letter_id: str) -> Replayed | None:
        """Move a letter to the end of its lane."""
        with store_errors():
            found = self._read(letter_id)
            if not found:
                return None
            job, lane, number = found.job, found.job.lane, found.partition
            lane_keys = [
                *(keys.lane_state(lane), keys.writes(lane)),
                *(keys.ready(number), keys.oldest(number), keys.settled(lane)),
            ]
            job_id_key = self._job_id_key.key()
            record, client, _ = found.replay
            arguments: list[Any] = [lane, secrets.token_bytes(8), client, record, found.field, found.index_line]
            held_key, *letter_keys = found.keys
            lane_keys += [held_key, keys.writers(number)]
            result = self._replay([*lane_keys, *letter_keys], [*arguments, self._fate_ttl_ms])
        if result is None:
            return None
        position, accepted_ms = result
        accepted_at = from_ms(accepted_ms)
        new = JobId(partition=number, lane=lane, position=int(position), op=job.write.op, accepted_at=accepted_at)
        job_id = new.seal(client, job_id_key)
        return Replayed(letter_id=letter_id, job_id=job_id, lane=lane, run_id=run_of(lane), client=client)

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good."""
        with store_errors():
            found = self._read(letter_id)
            return bool(found and self._discard(found.keys, [found.field, found.index_line, self._fate_ttl_ms]))

    def _read(self, letter_id: str) -> "_Letter | None":
        matched = _LETTER_ID.fullmatch(letter_id)
        if not matched:
            return None
        lane, position = matched[1], int(matched[2])
        stored = self._client.hget(keys.dead(keys.partition(lane)), keys.dead_field(lane, position))
        if stored is None:
            return None
        dead_lettered_at, letter = unpack_letter(stored)
        return _Letter(unpack_entry(letter.entry, lane=lane, position=position), dead_lettered_at, letter)

    def _scan(self, wanted: LetterFilter, after: bytes) -> "Iterator[_IndexLine]":
        """Read the index from ``after`` on, in order of time, in the partitions that the filter concerns."""
        lane = wanted.lane or wanted.run_id
        numbers = range(keys.PARTITIONS) if lane is None else [keys.partition(lane)]
        since = _time_prefix(wanted.since) if wanted.since else b"0"
        begin = b"(" + after if after > since else b"[" + since
        end = b"(" + _time_prefix(wanted.until) if wanted.until else b"+"
        for text in heapq.merge(*(self._read_lines(keys.letters(number), begin, end) for number in numbers)):
            yield _IndexLine(text)

    def _read_lines(self, key: str, begin: bytes, end: bytes) -> Iterator[bytes]:
        while lines := self._client.zrangebylex(key, begin, end, start=0, num=_CHUNK_LINES):
            yield from lines
            begin = b"(" + lines[-1]


class RedisDrainLog:
    """See `bridge.outbox.dead_letters.DrainLog` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._advance = load(client, "advance_drain")

    def begin(self, drain: Drain) -> None:
        """Store a new drain."""
        began = drain.began_at.timestamp()
        fields = {"order": _encode_drain(drain), "state": drain.state, "done": 0, "advanced": began}
        with store_errors():
            # In this order: a drain in the active set is complete.
            self._client.hset(keys.drain(drain.drain_id), mapping=fields)
            self._client.zadd(keys.ACTIVE_DRAINS, {drain.drain_id: began})

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain."""
        with store_errors():
            fields = self._client.hgetall(keys.drain(drain_id))
        return read_drain(fields) if fields else None

    def due(self, *, guard: dt.timedelta) -> list[tuple[Drain, str | None, dt.datetime]]:
        """Return running drains that no other worker was given within ``guard``."""
        found = []
        with store_errors():
            for drain_id in self._client.zrange(keys.ACTIVE_DRAINS, 0, -1):
                name = drain_id.decode()
                if self._client.set(keys.drain_guard(name), 1, nx=True, px=to_ms(guard)):
                    fields = self._client.hgetall(keys.drain(name))
                    advanced = dt.datetime.fromtimestamp(float(fields[b"advanced"]), dt.UTC)
                    found.append((read_drain(fields), fields.get(b"cursor", b"").decode() or None, advanced))
        return found

    def advance(self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, at: dt.datetime) -> bool:
        """Store the progress of a drain."""
        return self._change(drain_id, state, "cursor", cursor or "", "done", done, "advanced", at.timestamp())

    def cancel(self, drain_id: str) -> bool:
        """Stop a running drain."""
        return self._change(drain_id, DrainState.CANCELLED)

    def _change(self, drain_id: str, state: DrainState, *fields: Any) -> bool:  # noqa: ANN401 - as Redis takes them
        drain_keys = [keys.drain(drain_id), keys.ACTIVE_DRAINS]
        with store_errors():
            return bool(self._advance(drain_keys, [drain_id, state, to_ms(_DRAIN_RETENTION), *fields]))


@dataclass(frozen=True, slots=True)
class _IndexLine:
    """A letter's line in the index."""

    text: bytes

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        at, lane, position, reason, client = self.text.decode().split("/", 4)
        return at, lane, position, reason, client

    def matches(self, wanted: LetterFilter) -> bool:
        _, lane, _, reason, client = self.parts
        return (
            {wanted.run_id, wanted.lane} <= {None, lane}
            and wanted.reason in (None, reason)
            and wanted.client in (None, client)
        )

    @property
    def letter_id(self) -> str:
        _, lane, position, _, _ = self.parts
        return f"{lane}.{position}"


@dataclass(frozen=True, slots=True)
class _Letter:
    """A dead letter as it was read, with its documents and the arguments of the scripts that drain it."""

    job: Job
    dead_lettered_at: dt.datetime
    letter: DeadLetter

    @property
    def partition(self) -> int:
        return keys.partition(self.job.lane)

    @property
    def field(self) -> str:
        return keys.dead_field(self.job.lane, self.job.position)

    @property
    def index_line(self) -> bytes:
        job = self.job
        line = keys.index_line(job.lane, job.position, self.letter.reason, job.client)
        return _time_prefix(self.dead_lettered_at) + line.encode()

    @property
    def replay(self) -> tuple[bytes, str, int]:
        """The record of the new write, its client, and the position at which it was first accepted."""
        return pack_replay(self.letter.entry, position=self.job.position)

    @property
    def keys(self) -> list[str]:
        """The keys of the letter, of its fate, and of the fate of the job that it replays."""
        lane, (_, _, origin) = self.job.lane, self.replay
        letter_keys = [keys.held(self.partition), keys.dead(self.partition), keys.letters(self.partition)]
        return [*letter_keys, keys.fate(lane, self.job.position), keys.fate(lane, origin)]

    def summary(self, job_id_key: bytes) -> dict[str, Any]:
        job, letter = self.job, self.letter
        return {
            "job_id": client_job_id(job, job_id_key),
            "letter_id": f"{job.lane}.{job.position}",
            "lane": job.lane,
            "run_id": run_of(job.lane),
            "op": job.write.op,
            "client": job.client,
            "request_id": job.trace_context.request_id,
            "reason": letter.reason,
            "message": letter.message,
            "status": letter.answer.status if letter.answer else None,
            "accepted_at": job.accepted_at,
            "buried_at": self.dead_lettered_at,
        }

    def document(self, job_id_key: bytes) -> LetterDocument:
        call = single_call(self.job.write)
        # A body that is not JSON goes into the document as base64.
        body, base64 = (b"null", call.body) if call.headers else (call.body, None)
        return LetterDocument(
            **self.summary(job_id_key),
            write=WriteDocument(path=call.path, body=msgspec.Raw(body), workspace=call.workspace, base64=base64),
            attempt_count=self.letter.attempts,
            attempts=[*map(_attempt_document, self.letter.notes), self._last_attempt()],
            upstream=self.letter.answer,
        )

    def _last_attempt(self) -> AttemptDocument:
        letter, answer = self.letter, self.letter.answer
        return AttemptDocument(
            at=self.dead_lettered_at,
            writes=1,
            reason=letter.reason,
            message=letter.message,
            status=answer.status if answer else None,
            error_code=answer.error_code if answer else None,
        )


def _time_prefix(moment: dt.datetime) -> bytes:
    # As many digits as the times in the index have: they are compared as text.
    return b"%013d" % min(max(0, round(moment.timestamp() * 1000)), _MAX_MS)


def _encode_cursor(line: _IndexLine) -> str:
    return base64.urlsafe_b64encode(line.text).decode()


def _decode_cursor(cursor: str | None) -> bytes:
    try:
        line = base64.b64decode(cursor or "", altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor(cursor) from None
    if cursor and line.count(b"/") < 4:
        raise InvalidCursor(cursor)
    return line


def _attempt_document(note: bytes) -> AttemptDocument:
    at, failed = unpack_note(note)
    return AttemptDocument(
        at=at,
        writes=failed.writes,
        reason=failed.reason,
        message=failed.message,
        status=failed.status,
        error_code=failed.error_code,
    )


def read_drain(fields: Mapping[bytes, bytes]) -> Drain:
    """Return a drain as it is stored."""
    order = _decode_drain(fields[b"order"])
    return msgspec.structs.replace(order, state=DrainState(fields[b"state"].decode()), done=int(fields[b"done"]))


_encode_drain = msgspec.msgpack.Encoder().encode
_decode_drain = msgspec.msgpack.Decoder(Drain).decode
