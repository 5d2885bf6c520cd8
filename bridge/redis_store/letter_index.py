# SPDX-License-Identifier: Apache-2.0
"""The index of the dead letters: a line per letter, ``<time, ms>/<lane>/<position>/<reason>/<client>``.

The time is that of its dead-lettering. Filters by operation or error code need the letter itself: see
`bridge.redis_store.letter_reading`.
"""

import base64
import datetime as dt
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.outbox.dead_letters import InvalidCursor
from bridge.redis_store import keys
from schemas.dead_letter import LetterFilter, LetterOrder

#: Lines that are read at a time: at first of each partition, then of one, and where their order does not matter.
_FIRST_LINES, _CHUNK_LINES, _WALK_LINES = 100, 500, 5_000
#: The largest time that the index can hold.
_MAX_MS = 10**13 - 1


@dataclass(frozen=True, slots=True)
class IndexLine:
    """A letter's line in the index."""

    text: bytes

    @property
    def lane(self) -> str:
        """The lane of the letter."""
        return self.text.split(b"/", 2)[1].decode()

    @property
    def position(self) -> int:
        """The position of the letter in its lane."""
        return int(self.text.split(b"/", 3)[2])

    @property
    def letter_id(self) -> str:
        """The id of the letter."""
        _, lane, position, _ = self.text.split(b"/", 3)
        return f"{lane.decode()}.{position.decode()}"


#: Takes a filter and lines, and returns the lines that match.
Select = Callable[[LetterFilter, Sequence[bytes]], Iterable[bytes]]


class LetterIndex:
    """Reads the index in the partitions that a filter names. Its callers translate the errors of the store."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see RedisOutbox
        self._client = client

    def lines(self, wanted: LetterFilter, *, after: str | None, order: LetterOrder) -> Iterator[IndexLine]:
        """Yield all lines of the filter's time behind a cursor, in order. Raises ``InvalidCursor``."""
        begin, end = _bounds(wanted, decode_cursor(after), order)
        is_newest_first = order is LetterOrder.NEWEST
        numbers = _partitions(wanted)
        pipeline = self._client.pipeline(transaction=False)
        for number in numbers:
            _range_reader(pipeline, newest_first=is_newest_first)(keys.letters(number), begin, end, _FIRST_LINES)
        first_lines = dict(zip(numbers, pipeline.execute(), strict=True))
        read = _range_reader(self._client, newest_first=is_newest_first)
        partitions = (_read_on(keys.letters(number), first_lines[number], end, read) for number in numbers)
        return map(IndexLine, heapq.merge(*partitions, reverse=is_newest_first))

    def count(self, wanted: LetterFilter) -> int:
        """Return how many lines match the filter, but for its operation and error code."""
        if _is_of_time_only(wanted):
            # Redis counts the lines of a time itself, and none of them is read.
            begin, end = _bounds(wanted, b"", LetterOrder.OLDEST)
            pipeline = self._client.pipeline(transaction=False)
            for number in _partitions(wanted):
                pipeline.zlexcount(keys.letters(number), begin, end)
            return sum(pipeline.execute())
        return sum(self.tally(wanted).values())

    def tally(self, wanted: LetterFilter, select: Select | None = None) -> Counter[tuple[str, str]]:
        """Return the number of matching lines by reason and client.

        ``select`` returns the matching ones of some lines; without it, operation and error code are not compared.
        """
        select, tails = select or _select_matching, Counter[bytes]()
        for lines in self.walk(wanted):
            # The tail of a line is its reason and client. Most lines share one, so that it is decoded once.
            tails.update(text.split(b"/", 3)[3] for text in select(wanted, lines))
        return Counter({_reason_and_client(tail): count for tail, count in tails.items()})

    def walk(self, wanted: LetterFilter) -> Iterator[list[bytes]]:
        """Yield all lines of the filter's time in chunks, partition by partition."""
        for number in _partitions(wanted):
            yield from self.walk_partition(number, wanted)

    def walk_partition(self, number: int, wanted: LetterFilter) -> Iterator[list[bytes]]:
        """Yield all lines of the filter's time in one partition, in chunks."""
        key, (after, end) = keys.letters(number), _bounds(wanted, b"", LetterOrder.OLDEST)
        while lines := self._client.zrangebylex(key, after, end, start=0, num=_WALK_LINES):
            yield lines
            if len(lines) < _WALK_LINES:
                break
            after = b"(" + lines[-1]


def line_matcher(wanted: LetterFilter) -> Callable[[bytes], bool]:
    """Return a function for whether a line matches the filter, but for its time, operation and error code."""
    # The lane of a run has the id of the run as its name. A filter with both matches only if they are equal.
    lanes = {name.encode() for name in (wanted.lane, wanted.run_id) if name is not None}
    reason, client = ((name or "").encode() for name in (wanted.reason, wanted.client))
    if not (lanes or reason or client):
        return lambda _: True

    def matches(text: bytes) -> bool:
        _, lane, _, line_reason, line_client = text.split(b"/", 4)
        return (not lanes or lanes == {lane}) and reason in (b"", line_reason) and client in (b"", line_client)

    return matches


def time_prefix(moment: dt.datetime) -> bytes:
    """Return a time as lines begin with it: always with 13 digits, because lines are compared as text."""
    return b"%013d" % min(max(0, round(moment.timestamp() * 1000)), _MAX_MS)


def encode_cursor(line: IndexLine) -> str:
    """Return the cursor of what follows this line."""
    return base64.urlsafe_b64encode(line.text).decode()


def decode_cursor(cursor: str | None) -> bytes:
    """Return the line in a cursor, or raise ``InvalidCursor``."""
    try:
        line = base64.b64decode(cursor or "", altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor(cursor) from None
    if cursor and line.count(b"/") < 4:
        raise InvalidCursor(cursor)
    return line


def _select_matching(wanted: LetterFilter, lines: Sequence[bytes]) -> Iterable[bytes]:
    return filter(line_matcher(wanted), lines)


def _reason_and_client(tail: bytes) -> tuple[str, str]:
    reason, _, client = tail.decode().partition("/")
    return reason, client


def _partitions(wanted: LetterFilter) -> Sequence[int]:
    lane = wanted.lane or wanted.run_id
    return range(keys.PARTITIONS) if lane is None else [keys.partition(lane)]


def _bounds(wanted: LetterFilter, after: bytes, order: LetterOrder) -> tuple[bytes, bytes]:
    """Return where the range behind a cursor begins and where it ends, as ZRANGEBYLEX takes them.

    A cursor outside of the filter's time begins at the edge of that time.
    """
    since = time_prefix(wanted.since) if wanted.since else b""
    until = time_prefix(wanted.until) if wanted.until else b""
    low, high = b"[" + since if since else b"-", b"(" + until if until else b"+"
    if order is LetterOrder.NEWEST:
        return (b"(" + after if after and not (until and after >= until) else high), low
    return (b"(" + after if after > since else low), high


#: Reads up to a number of lines of a key, from a begin to an end.
_RangeReader = Callable[[str, bytes, bytes, int], Any]


def _range_reader(client: Any, *, newest_first: bool) -> _RangeReader:  # noqa: ANN401 - a client or a pipeline
    command = client.zrevrangebylex if newest_first else client.zrangebylex
    return lambda key, begin, end, count: command(key, begin, end, start=0, num=count)


def _read_on(key: str, first_lines: Sequence[bytes], end: bytes, read: _RangeReader) -> Iterator[bytes]:
    """Yield the first lines of a partition, then read and yield all behind them."""
    lines, requested = first_lines, _FIRST_LINES
    while lines:
        yield from lines
        if len(lines) < requested:
            return
        requested = _CHUNK_LINES
        lines = read(key, b"(" + lines[-1], end, requested)


def _is_of_time_only(wanted: LetterFilter) -> bool:
    return wanted.reason is wanted.client is wanted.lane is wanted.run_id is None
