# SPDX-License-Identifier: Apache-2.0
"""The dead letters in Redis. The contract is `bridge.outbox.dead_letters.DeadLetters`."""

import datetime as dt
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import redis

from bridge.outbox.dead_letters import LetterLookup
from bridge.outbox.letter_causes import CausedLetter, group_by_cause
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.letter_index import IndexLine, LetterIndex, encode_cursor, line_matcher
from bridge.redis_store.letter_reading import LetterReader
from bridge.redis_store.records import letter_op, unpack_letter, unpack_settled
from bridge.redis_store.scripts import load
from bridge.redis_store.stored_letter import StoredLetter
from bridge.redis_store.timestamps import from_ms, to_ms
from schemas.dead_letter import (
    LetterDocument,
    LetterFilter,
    LetterOrder,
    LetterPage,
    LetterSummary,
    LetterTotals,
    Replayed,
)
from schemas.job import Job, JobId
from schemas.lane import run_of

#: Lines that one page scans at most, so that a rare reason does not delay a request; fewer if letters must be read.
_MAX_SCANNED_LINES, _MAX_READ_LINES = 20_000, 5_000
#: The newest letters that are grouped by cause: this many, and as many as have these bytes.
_MAX_GROUPED, _MAX_GROUPED_BYTES = 5_000, 16 << 20
#: More writes than a lane can have. Positions that differ by so much are of two lives of the lane: append.lua begins
#: each life at the time in microseconds.
_MAX_LANE_WRITES = 10**9
_LETTER_ID = re.compile(r"(.+)\.(\d{1,16})")
_OLDEST = LetterOrder.OLDEST


class RedisDeadLetters:
    """See `bridge.outbox.dead_letters.DeadLetters` for every promise."""

    def __init__(self, client: redis.Redis, *, fate_ttl: dt.timedelta) -> None:
        self._client: Any = client
        self._index = LetterIndex(client)
        self._reader = LetterReader(client)
        self._job_id_key = JobIdKey(client)
        self._fate_ttl_ms = to_ms(fate_ttl)
        self._replay = load(client, "replay")
        self._discard = load(client, "discard")

    def page(self, wanted: LetterFilter, *, after: str | None, limit: int, order: LetterOrder = _OLDEST) -> LetterPage:
        """Return letters in this order."""
        found = self.find(wanted, after=after, limit=limit, order=order)
        letters = self.summaries(found.letter_ids)
        return LetterPage(letters=[letter for letter in letters if letter], next=found.cursor)

    def find(
        self, wanted: LetterFilter, *, after: str | None, limit: int, order: LetterOrder = _OLDEST
    ) -> LetterLookup:
        """Return the ids of letters in this order."""
        letter_ids: list[str] = []
        max_scanned = _MAX_READ_LINES if wanted.is_about_cause else _MAX_SCANNED_LINES
        with store_errors():
            lines = self._index.lines(wanted, after=after, order=order)
            for scanned, (line, matches) in enumerate(self._match(wanted, lines), 1):
                if matches:
                    letter_ids.append(line.letter_id)
                if len(letter_ids) == limit or scanned == max_scanned:
                    return LetterLookup(letter_ids=letter_ids, cursor=encode_cursor(line))
        return LetterLookup(letter_ids=letter_ids, cursor=None)

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters match the filter."""
        with store_errors():
            if not wanted.is_about_cause:
                return self._index.count(wanted)
            return sum(self._tally(wanted).values())

    def totals(self, wanted: LetterFilter) -> LetterTotals:
        """Return how many letters match the filter, in all, by reason and by client, and groups of the newest."""
        by_reason: Counter[str] = Counter()
        by_client: Counter[str] = Counter()
        with store_errors():
            for (reason, client), number in self._tally(wanted).items():
                by_reason[reason] += number
                by_client[client] += number
            count = by_reason.total()
            groups = group_by_cause(self._newest(wanted, min(count, _MAX_GROUPED)))
        return LetterTotals(
            count=count,
            by_reason=dict(by_reason.most_common()),
            by_client=dict(by_client.most_common()),
            groups=groups,
            sampled=sum(group.count for group in groups) < count,
        )

    def summaries(self, letter_ids: Sequence[str]) -> list[LetterSummary | None]:
        """Return these letters as a list shows them, in their order."""
        summaries: list[LetterSummary | None] = [None] * len(letter_ids)
        with store_errors():
            job_id_key = self._job_id_key.key()
            # Each is summarised before the next chunk is read: letters can be long.
            for (index, lane, position), stored in self._reader.read_tagged(_parse_ids(letter_ids)):
                if stored is not None:
                    summaries[index] = StoredLetter.read(stored, lane=lane, position=position).summary(job_id_key)
        return summaries

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter."""
        with store_errors():
            letter = self._read(letter_id)
            return letter.document(self._job_id_key.key()) if letter else None

    def job(self, letter_id: str) -> Job | None:
        """Return the job that was given up on."""
        with store_errors():
            letter = self._read(letter_id)
            return letter.job if letter else None

    def later_writes(self, job: Job) -> int:
        """Return how many writes the lane of a letter has accepted after it."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hget(keys.lane_state(job.lane), "accepted")
        pipeline.lindex(keys.settled(job.lane), 0)
        pipeline.llen(keys.writes(job.lane))
        with store_errors():
            accepted, oldest_record, pending = pipeline.execute()
        later = max(0, int(accepted or 0) - job.position)
        if later < _MAX_LANE_WRITES:
            return later
        # The lane was forgotten, and began again: all that is known of its present life was accepted later.
        if oldest_record is None:
            return int(pending)
        last_position, _, oldest_call = unpack_settled(oldest_record)
        return int(accepted) - (last_position - oldest_call.count)

    def replay(self, letter_id: str) -> Replayed | None:
        """Move a letter to the end of its lane."""
        with store_errors():
            letter = self._read(letter_id)
            if not letter:
                return None
            lane, number = letter.job.lane, letter.partition
            job_id_key = self._job_id_key.key()
            record, client, _ = letter.replay_record
            accept_id = secrets.token_bytes(8)
            result = self._replay(
                [*keys.append_keys(lane, number), *letter.letter_keys],
                [lane, accept_id, client, record, letter.field, letter.index_line, self._fate_ttl_ms],
            )
        if result is None:
            return None
        position, accepted_ms = result
        new_job = JobId(
            partition=number,
            lane=lane,
            position=int(position),
            op=letter.job.write.op,
            accepted_at=from_ms(accepted_ms),
        )
        job_id = new_job.seal(client, job_id_key)
        return Replayed(letter_id=letter_id, job_id=job_id, lane=lane, run_id=run_of(lane), client=client)

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good."""
        with store_errors():
            letter = self._read(letter_id)
            if not letter:
                return False
            letter_keys = [keys.held(letter.partition), *letter.letter_keys]
            return bool(self._discard(letter_keys, [letter.field, letter.index_line, self._fate_ttl_ms]))

    def _read(self, letter_id: str) -> StoredLetter | None:
        matched = _LETTER_ID.fullmatch(letter_id)
        if not matched:
            return None
        lane, position = matched[1], int(matched[2])
        stored = self._client.hget(keys.dead(keys.partition(lane)), keys.dead_field(lane, position))
        return None if stored is None else StoredLetter.read(stored, lane=lane, position=position)

    def _match(self, wanted: LetterFilter, lines: Iterable[IndexLine]) -> Iterator[tuple[IndexLine, bool]]:
        """Yield each line and whether its letter matches the filter, but for its time."""
        if wanted.is_about_cause:
            return self._reader.match(wanted, lines)
        matches = line_matcher(wanted)
        return ((line, matches(line.text)) for line in lines)

    def _tally(self, wanted: LetterFilter) -> Counter[tuple[str, str]]:
        """Return the number of letters by reason and client."""
        if not wanted.is_about_cause:
            return self._index.tally(wanted)
        return self._index.tally(wanted, self._reader.matching)

    def _newest(self, wanted: LetterFilter, count: int) -> Iterator[CausedLetter]:
        """Yield up to ``count`` of the newest letters, and no more than the bytes that are grouped."""
        lines = self._index.lines(wanted, after=None, order=LetterOrder.NEWEST)
        matching = (line for line, matches in self._match(wanted, lines) if matches)
        size = 0
        for line, stored in self._reader.read(islice(matching, count)):
            size += len(stored or b"")
            if size > _MAX_GROUPED_BYTES:
                return
            if stored is not None:
                yield _caused_letter(line, stored)


def _caused_letter(line: IndexLine, stored: bytes) -> CausedLetter:
    dead_lettered_at, letter = unpack_letter(stored)
    return CausedLetter(
        letter_id=line.letter_id,
        reason=letter.reason,
        op=letter_op(letter),
        error_code=letter.answer.error_code if letter.answer else None,
        message=letter.message,
        buried_at=dead_lettered_at,
    )


def _parse_ids(letter_ids: Sequence[str]) -> Iterator[tuple[str, int, tuple[int, str, int]]]:
    """Yield lane, position, and (index, lane, position) as their tag, of each well-formed id."""
    for index, letter_id in enumerate(letter_ids):
        if matched := _LETTER_ID.fullmatch(letter_id):
            lane, position = matched[1], int(matched[2])
            yield lane, position, (index, lane, position)
