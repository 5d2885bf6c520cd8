# SPDX-License-Identifier: Apache-2.0
"""The dead letters in Redis. The contract is `bridge.outbox.dead_letters.DeadLetters`.

The index holds a line for each letter: ``<time of burial, ms>/<lane>/<position>/<reason>/<client>``. All that can be
filtered by is in it, so letters are only read to be shown.
"""

import base64
import datetime as dt
import heapq
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from bridge.outbox.dead_letters import InvalidCursor, LetterLookup
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.job_status import id_of
from bridge.redis_store.records import DeadLetter, pack_replay, unpack_entry, unpack_letter, unpack_note
from bridge.redis_store.scripts import load
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

#: How many lines are read at a time.
_CHUNK = 500
#: How many lines are looked at for one page, so that a rare reason does not hold up a request.
_MOST_LOOKED_AT = 20_000
_LETTER_ID = re.compile(r"(.+)\.(\d{1,16})")


@dataclass(frozen=True, slots=True)
class _Line:
    """What the index says of a letter."""

    text: bytes

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        at, lane, position, reason, client = self.text.decode().split("/", 4)
        return at, lane, position, reason, client

    def is_meant_by(self, wanted: LetterFilter) -> bool:
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
    """A letter as it was read: what is shown of it, and what the scripts that drain it need."""

    job: Job
    buried_at: dt.datetime
    letter: DeadLetter

    @property
    def number(self) -> int:
        return keys.partition(self.job.lane)

    @property
    def field(self) -> str:
        return keys.dead_field(self.job.lane, self.job.position)

    @property
    def line(self) -> bytes:
        job = self.job
        line = keys.letter_line(job.lane, job.position, self.letter.reason, job.client)
        return _stamp(self.buried_at) + line.encode()

    @property
    def replay(self) -> tuple[bytes, str, int]:
        """Its record as a new write, its client, and the position at which it was accepted first."""
        return pack_replay(self.letter.entry, position=self.job.position)

    @property
    def keys(self) -> list[str]:
        """Where it is kept, and where it is noted what became of it and of the job that it replays."""
        lane, (_, _, origin) = self.job.lane, self.replay
        kept = [keys.held(self.number), keys.dead(self.number), keys.letters(self.number)]
        return [*kept, keys.fate(lane, self.job.position), keys.fate(lane, origin)]

    def summary(self, seal: bytes) -> dict[str, Any]:
        job, letter = self.job, self.letter
        return {
            "job_id": id_of(job, seal),
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
            "buried_at": self.buried_at,
        }

    def document(self, seal: bytes) -> LetterDocument:
        call = single_call(self.job.write)
        # What was not read as JSON must not stand in JSON as it is.
        body, base64 = (b"null", call.body) if call.headers else (call.body, None)
        return LetterDocument(
            **self.summary(seal),
            write=WriteDocument(path=call.path, body=msgspec.Raw(body), workspace=call.workspace, base64=base64),
            attempt_count=self.letter.attempts,
            attempts=[*map(_attempt, self.letter.notes), self._last_attempt()],
            upstream=self.letter.answer,
        )

    def _last_attempt(self) -> AttemptDocument:
        letter, answer = self.letter, self.letter.answer
        return AttemptDocument(
            at=self.buried_at,
            writes=1,
            reason=letter.reason,
            message=letter.message,
            status=answer.status if answer else None,
            error_code=answer.error_code if answer else None,
        )


class RedisDeadLetters:
    """See `bridge.outbox.dead_letters.DeadLetters` for every promise."""

    def __init__(self, client: redis.Redis, *, fate_ttl: dt.timedelta) -> None:
        self._client: Any = client
        self._seal = JobIdKey(client)
        self._fate_ms = round(fate_ttl.total_seconds() * 1000)
        self._replay = load(client, "replay")
        self._discard = load(client, "discard")

    def page(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterPage:
        """Return letters, the oldest first."""
        found = self.find(wanted, after=after, limit=limit)
        with store_errors():
            # Each is summed up before the next is read: letters can be long.
            read = (self._read(letter_id) for letter_id in found.letter_ids)
            letters = [LetterSummary(**letter.summary(self._seal.key())) for letter in read if letter]
        return LetterPage(letters=letters, next=found.cursor)

    def find(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterLookup:
        """Return the ids of letters, the oldest first."""
        letter_ids: list[str] = []
        line: _Line | None = None
        with store_errors():
            for looked_at, line in enumerate(self._walk(wanted, _decode_cursor(after)), 1):
                if line.is_meant_by(wanted):
                    letter_ids.append(line.letter_id)
                if len(letter_ids) == limit or looked_at == _MOST_LOOKED_AT:
                    return LetterLookup(letter_ids=letter_ids, cursor=_encode_cursor(line))
        return LetterLookup(letter_ids=letter_ids, cursor=None)

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters the filter means."""
        with store_errors():
            return sum(line.is_meant_by(wanted) for line in self._walk(wanted, b""))

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter."""
        with store_errors():
            found = self._read(letter_id)
            return found.document(self._seal.key()) if found else None

    def replay(self, letter_id: str) -> Replayed | None:
        """Take a letter back to the end of its lane."""
        with store_errors():
            found = self._read(letter_id)
            if not found:
                return None
            job, lane, number = found.job, found.job.lane, found.number
            lane_keys = [
                *(keys.lane_state(lane), keys.writes(lane)),
                *(keys.ready(number), keys.oldest(number), keys.settled(lane)),
            ]
            seal = self._seal.key()
            record, client, _ = found.replay
            arguments: list[Any] = [lane, secrets.token_bytes(8), client, record, found.field, found.line]
            held, *of_letter = found.keys
            lane_keys += [held, keys.writers(number)]
            result = self._replay([*lane_keys, *of_letter], [*arguments, self._fate_ms])
        if result is None:
            return None
        accepted_at = dt.datetime.fromtimestamp(int(result[1]) / 1000, dt.UTC)
        new = JobId(partition=number, lane=lane, position=int(result[0]), op=job.write.op, accepted_at=accepted_at)
        job_id = new.seal(client, seal)
        return Replayed(letter_id=letter_id, job_id=job_id, lane=lane, run_id=run_of(lane), client=client)

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good."""
        with store_errors():
            found = self._read(letter_id)
            return bool(found and self._discard(found.keys, [found.field, found.line, self._fate_ms]))

    def _read(self, letter_id: str) -> "_Letter | None":
        matched = _LETTER_ID.fullmatch(letter_id)
        if not matched:
            return None
        lane, position = matched[1], int(matched[2])
        stored = self._client.hget(keys.dead(keys.partition(lane)), keys.dead_field(lane, position))
        if stored is None:
            return None
        buried_at, letter = unpack_letter(stored)
        return _Letter(unpack_entry(letter.entry, lane=lane, position=position), buried_at, letter)

    def _walk(self, wanted: LetterFilter, after: bytes) -> Iterator[_Line]:
        """Go through the index from ``after`` on, in order of time, over the partitions that the filter concerns."""
        lane = wanted.lane or wanted.run_id
        numbers = range(keys.PARTITIONS) if lane is None else [keys.partition(lane)]
        since = _stamp(wanted.since) if wanted.since else b"0"
        begin = b"(" + after if after > since else b"[" + since
        end = b"(" + _stamp(wanted.until) if wanted.until else b"+"
        for text in heapq.merge(*(self._lines(keys.letters(number), begin, end) for number in numbers)):
            yield _Line(text)

    def _lines(self, key: str, begin: bytes, end: bytes) -> Iterator[bytes]:
        while lines := self._client.zrangebylex(key, begin, end, start=0, num=_CHUNK):
            yield from lines
            begin = b"(" + lines[-1]


def _stamp(moment: dt.datetime) -> bytes:
    # As many digits as the stamps in the index, with which it is compared as text.
    return b"%013d" % min(max(0, round(moment.timestamp() * 1000)), 10**13 - 1)


def _encode_cursor(line: _Line) -> str:
    return base64.urlsafe_b64encode(line.text).decode()


def _decode_cursor(cursor: str | None) -> bytes:
    try:
        line = base64.b64decode(cursor or "", altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor(cursor) from None
    if cursor and line.count(b"/") < 4:
        raise InvalidCursor(cursor)
    return line


def _attempt(note: bytes) -> AttemptDocument:
    at, failed = unpack_note(note)
    return AttemptDocument(
        at=at,
        writes=failed.writes,
        reason=failed.reason,
        message=failed.message,
        status=failed.status,
        error_code=failed.error_code,
    )


_KEPT = dt.timedelta(days=7)


class RedisDrainLog:
    """See `bridge.outbox.dead_letters.DrainLog` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._advance = load(client, "advance_drain")

    def begin(self, drain: Drain) -> None:
        """Keep a new drain."""
        began = drain.began_at.timestamp()
        fields = {"order": _encode(drain), "state": drain.state, "done": 0, "advanced": began}
        with store_errors():
            # Whoever finds it active finds it whole.
            self._client.hset(keys.drain(drain.drain_id), mapping=fields)
            self._client.zadd(keys.ACTIVE_DRAINS, {drain.drain_id: began})

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain."""
        with store_errors():
            fields = self._client.hgetall(keys.drain(drain_id))
        return _read(fields) if fields else None

    def due(self, *, guard: dt.timedelta) -> list[tuple[Drain, str | None, dt.datetime]]:
        """Return drains that run and that nobody has been given within ``guard``."""
        found = []
        with store_errors():
            for drain_id in self._client.zrange(keys.ACTIVE_DRAINS, 0, -1):
                name = drain_id.decode()
                if self._client.set(keys.drain_guard(name), 1, nx=True, px=_ms(guard)):
                    fields = self._client.hgetall(keys.drain(name))
                    advanced = dt.datetime.fromtimestamp(float(fields[b"advanced"]), dt.UTC)
                    found.append((_read(fields), fields.get(b"cursor", b"").decode() or None, advanced))
        return found

    def advance(self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, at: dt.datetime) -> bool:
        """Note how far a drain is."""
        return self._change(drain_id, state, "cursor", cursor or "", "done", done, "advanced", at.timestamp())

    def cancel(self, drain_id: str) -> bool:
        """Stop a drain that runs."""
        return self._change(drain_id, DrainState.CANCELLED)

    def _change(self, drain_id: str, state: DrainState, *fields: Any) -> bool:  # noqa: ANN401 - as Redis takes them
        drain_keys = [keys.drain(drain_id), keys.ACTIVE_DRAINS]
        with store_errors():
            return bool(self._advance(drain_keys, [drain_id, state, _ms(_KEPT), *fields]))


def _read(fields: dict[bytes, bytes]) -> Drain:
    order = _decode(fields[b"order"])
    return msgspec.structs.replace(order, state=DrainState(fields[b"state"].decode()), done=int(fields[b"done"]))


def _ms(span: dt.timedelta) -> int:
    return round(span.total_seconds() * 1000)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Drain).decode
