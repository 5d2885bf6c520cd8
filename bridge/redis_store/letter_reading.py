# SPDX-License-Identifier: Apache-2.0
"""Reads many dead letters in few round trips, for `RedisDeadLetters` and `RedisJobSearch`.

It remembers the operation and the error code of each letter, which filters by cause need.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from bridge.redis_store import keys
from bridge.redis_store.letter_index import IndexLine, line_matcher
from bridge.redis_store.records import letter_op, unpack_letter
from schemas.dead_letter import LetterFilter

#: Letters are read in chunks of about this many bytes, with these bounds on their number.
_CHUNK_BYTES, _FIRST_CHUNK, _MAX_CHUNK = 1 << 20, 20, 500
#: The number of lines that are matched by cause at first: a page often needs no more.
_FIRST_LINES = 100
#: Causes that a process remembers, in some 30 MB.
_MAX_REMEMBERED = 150_000


class Cause(NamedTuple):
    """What filters by cause compare."""

    op: str
    error_code: str | None


class LetterReader:
    """Reads stored letters by the lines of the index. Its callers translate the errors of the store."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see RedisOutbox
        self._client = client
        #: By the text of the letter's line.
        self._causes: dict[bytes, Cause] = {}
        #: One object for all equal causes, which are few.
        self._interned: dict[Cause, Cause] = {}

    def read(self, lines: Iterable[IndexLine]) -> Iterator[tuple[IndexLine, bytes | None]]:
        """Yield each line with its stored letter, None if there is none any more. Holds one chunk at a time."""
        yield from self.read_tagged((line.lane, line.position, line) for line in lines)

    def read_tagged(self, ids: Iterable[tuple[str, int, Any]]) -> Iterator[tuple[Any, bytes | None]]:
        """Yield the tag of each (lane, position, tag), and the letter that is stored under this lane and position."""
        unread, count, size = iter(ids), 0, 0
        while chunk := list(islice(unread, _chunk_length(count, size))):
            stored = self._fetch([(lane, position) for lane, position, _ in chunk])
            count, size = count + len(chunk), size + sum(len(letter or b"") for letter in stored)
            yield from ((tag, letter) for (_, _, tag), letter in zip(chunk, stored, strict=True))

    def match(self, wanted: LetterFilter, lines: Iterable[IndexLine]) -> Iterator[tuple[IndexLine, bool]]:
        """Yield each line and whether its letter matches the filter, but for its time."""
        unread, length = iter(lines), _FIRST_LINES
        while chunk := list(islice(unread, length)):
            matching = set(self.matching(wanted, [line.text for line in chunk]))
            yield from ((line, line.text in matching) for line in chunk)
            length = _MAX_CHUNK

    def matching(self, wanted: LetterFilter, texts: Iterable[bytes]) -> list[bytes]:
        """Return the lines, of these, with a letter that matches the filter, but for its time."""
        candidates = list(filter(line_matcher(wanted), texts))
        causes = self._causes_of(candidates)
        wanted_causes = {cause for cause in set(causes) if cause and _is_wanted(cause, wanted)}
        return [text for text, cause in zip(candidates, causes, strict=True) if cause in wanted_causes]

    def _causes_of(self, texts: Sequence[bytes]) -> list[Cause | None]:
        """Return the cause of each letter, None if it is gone. It never changes, so a known one is not read again."""
        causes = list(map(self._causes.get, texts))
        unknown = [index for index, cause in enumerate(causes) if cause is None]
        lines = (IndexLine(texts[index]) for index in unknown)
        for index, (line, stored) in zip(unknown, self.read(lines), strict=True):
            if stored is not None:
                causes[index] = self._remember(line.text, cause_of(stored))
        return causes

    def _remember(self, text: bytes, cause: Cause) -> Cause:
        if len(self._causes) >= _MAX_REMEMBERED:
            self._causes, self._interned = {}, {}
        interned = self._interned.setdefault(cause, cause)
        self._causes[text] = interned
        return interned

    def _fetch(self, ids: Sequence[tuple[str, int]]) -> list[bytes | None]:
        """Return the letter of each lane and position, in this order, with one command per partition."""
        by_partition: dict[int, list[int]] = {}
        for index, (lane, _) in enumerate(ids):
            by_partition.setdefault(keys.partition(lane), []).append(index)
        pipeline = self._client.pipeline(transaction=False)
        for number, indices in by_partition.items():
            pipeline.hmget(keys.dead(number), [keys.dead_field(*ids[index]) for index in indices])
        stored: list[bytes | None] = [None] * len(ids)
        for indices, letters in zip(by_partition.values(), pipeline.execute(), strict=True):
            for index, letter in zip(indices, letters, strict=True):
                stored[index] = letter
        return stored


def cause_of(stored: bytes) -> Cause:
    """Return the operation and the error code of a stored letter."""
    _, letter = unpack_letter(stored)
    return Cause(letter_op(letter), letter.answer.error_code if letter.answer else None)


def _is_wanted(cause: Cause, wanted: LetterFilter) -> bool:
    return wanted.op in (None, cause.op) and wanted.error_code in (None, cause.error_code)


def _chunk_length(count: int, size: int) -> int:
    """Return how many letters to read next, after ``count`` of them had ``size`` bytes."""
    if not count:
        return _FIRST_CHUNK
    return min(max(1, _CHUNK_BYTES * count // max(1, size)), _MAX_CHUNK)
