# SPDX-License-Identifier: Apache-2.0
"""Shared reads: identical questions share one call to upstream (single flight), and its answer for at most a second.

An answer serves a reader only if upstream was asked for it after all that the reader must see was settled. So no write
invalidates anything: a reader that must see it does not use the answer.
docs/adr/0031-identical-reads-share-an-answer.md
"""

import asyncio
from collections.abc import Hashable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from api.proxy.answers import BoundedForwarding, FetchedAnswer, cached_response, header_of
from api.proxy.questions import Question
from bridge.errors import StoreUnavailable
from bridge.events import Observer, ReadCached
from bridge.outbox.read_marks import ReadMarks, ReadMarkStore
from bridge.upstream.forwarding import ForwardedRequest

#: An answer serves readers that come within this time after upstream was asked for it.
MAX_AGE_S = 1.0
#: Only for a question that is repeated within this time, reading the marks costs less than the call.
_REPEATED_WITHIN_S = 2.0
_MAX_QUESTIONS = 4096
#: A longer answer is streamed to each reader.
_MAX_ANSWER_BYTES = 256 * 1024
#: For this time after such an answer, the question is expected to have a long one again.
_LONG_FOR_S = 30.0
#: Of all kept answers together.
_MAX_KEPT_BYTES = 16 << 20

#: The settled position of each lane that a read names.
Positions = Mapping[str, int]


@dataclass(slots=True, eq=False)
class _Flight:
    """A call to upstream, and its answer once there is one."""

    #: What was settled when upstream was asked.
    positions: Positions
    marks: ReadMarks
    began: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    #: The whole answer; None for one that each reader must fetch itself.
    answer: FetchedAnswer | None = None
    error: Exception | None = None
    #: Whether the client that made the call has disconnected.
    is_abandoned: bool = False

    @property
    def size(self) -> int:
        return len(self.answer.start or b"") if self.answer else 0

    def serves(self, positions: Positions, marks: ReadMarks, now: float) -> bool:
        """Return whether the answer has all that a reader must see, and is new enough."""
        # Equal positions: those of a lane that has expired begin again.
        return now - self.began <= MAX_AGE_S and self.positions == positions and self.marks.covers(marks)


class SharedReads:
    """Fetches answers from upstream, once for identical questions."""

    def __init__(self, forwarding: BoundedForwarding, marks: ReadMarkStore, observe: Observer) -> None:
        self._forwarding = forwarding
        self._marks = marks
        self._observe = observe
        #: The latest call for each question, oldest first.
        self._flights: dict[Hashable, _Flight] = {}
        self._size = 0
        #: When questions were last asked, by their hashes, oldest first.
        self._asked_at: dict[int, float] = {}
        #: Until when questions, by their hashes, are taken to have long answers, oldest first.
        self._long_until: dict[int, float] = {}

    async def fetch(
        self, request: ForwardedRequest, question: Question | None, positions: Positions | None, stack: AsyncExitStack
    ) -> FetchedAnswer:
        """Return upstream's answer, or one to the same question that has all that this reader must see.

        ``positions`` are those that the reader must see; None if they are not known, and then nothing is shared.
        """
        if question is None or positions is None or not self._is_repeated_and_short(question):
            return await self._forwarding.fetch(request, stack)
        try:
            # On the event loop, like the positions: a thread would cost more than this read.
            marks = self._marks.read(question.searcher)
        except StoreUnavailable:
            return await self._forwarding.fetch(request, stack)
        while flight := self._find_flight(question, positions, marks):
            await flight.over.wait()
            if flight.error:
                raise flight.error
            if flight.answer:
                self._observe(ReadCached(cache="shared"))
                age_s = asyncio.get_running_loop().time() - flight.began
                return FetchedAnswer(
                    cached_response(flight.answer.response, age_s=age_s), flight.answer.start, is_whole=True
                )
            if not flight.is_abandoned:
                return await self._forwarding.fetch(request, stack)
        return await self._lead(request, question, _Flight(positions, marks, asyncio.get_running_loop().time()), stack)

    def _find_flight(self, question: Question, positions: Positions, marks: ReadMarks) -> _Flight | None:
        flight = self._flights.get(question.key)
        now = asyncio.get_running_loop().time()
        return flight if flight and flight.serves(positions, marks, now) else None

    async def _lead(
        self, request: ForwardedRequest, question: Question, flight: _Flight, stack: AsyncExitStack
    ) -> FetchedAnswer:
        """Call upstream on behalf of all readers that ask the same meanwhile."""
        self._add(question.key, flight)
        try:
            fetched = await self._forwarding.fetch_whole(request, stack, max_bytes=_MAX_ANSWER_BYTES)
        except Exception as error:
            flight.error = error
            self._remove(question.key, flight)
            raise
        except BaseException:
            flight.is_abandoned = True
            self._remove(question.key, flight)
            raise
        else:
            if fetched.is_whole:
                flight.answer = fetched
                self._size += flight.size if self._flights.get(question.key) is flight else 0
            else:
                _put(self._long_until, hash(question.key), flight.began + _LONG_FOR_S)
            if not _may_be_kept(fetched):
                self._remove(question.key, flight)
            return fetched
        finally:
            flight.over.set()

    def _add(self, key: Hashable, flight: _Flight) -> None:
        if replaced := self._flights.get(key):
            self._remove(key, replaced)
        self._flights[key] = flight
        while self._flights:
            oldest = next(iter(self._flights))
            if self._size <= _MAX_KEPT_BYTES and flight.began - self._flights[oldest].began <= MAX_AGE_S:
                break
            self._remove(oldest, self._flights[oldest])

    def _remove(self, key: Hashable, flight: _Flight) -> None:
        """Make a flight serve no further readers. Those that wait for it have it already."""
        if self._flights.get(key) is flight:
            del self._flights[key]
            self._size -= flight.size

    def _is_repeated_and_short(self, question: Question) -> bool:
        """Return whether the question was asked a moment ago and has a short answer. Record that it is asked now."""
        now, key_hash = asyncio.get_running_loop().time(), hash(question.key)
        last_asked_at = self._asked_at.get(key_hash, float("-inf"))
        _put(self._asked_at, key_hash, now)
        return now - last_asked_at <= _REPEATED_WITHIN_S and self._long_until.get(key_hash, now) <= now


def _put(times: dict[int, float], key_hash: int, time: float) -> None:
    """Store the time of a question as the newest one, and drop the oldest of too many."""
    times.pop(key_hash, None)
    times[key_hash] = time
    if len(times) > _MAX_QUESTIONS:
        del times[next(iter(times))]


def _may_be_kept(fetched: FetchedAnswer) -> bool:
    """Return whether later readers may have it, too: only whole answers without an error, unless upstream objects."""
    response = fetched.response
    policy = header_of(response, "cache-control").lower()
    is_private = any(word in policy for word in ("no-store", "private"))
    return fetched.is_whole and response.status == 200 and not is_private and header_of(response, "vary") != "*"
