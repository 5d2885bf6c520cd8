# SPDX-License-Identifier: Apache-2.0
"""The lanes with pending writes in Redis. The contract is `bridge.operations.lanes.Lanes`.

The order is that of the ``oldest`` sets of all partitions, merged. States are read for the lanes that a page scans.
"""

import base64
import heapq
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import redis

from bridge.operations.lanes import AttemptOrder, InvalidCursor
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.job_status import lane_backlog, lanes_of
from bridge.redis_store.scripts import load
from bridge.redis_store.timestamps import store_time_ms
from schemas.job import LaneBacklog
from schemas.lane import named_run
from schemas.operations import LaneDocument, LanePage, LaneQuery, LaneState

#: Lanes that are read at a time.
_CHUNK_LANES = 200
#: Lanes that one page scans at most, so that a rare state does not delay a request.
_MAX_SCANNED_LANES = 5000
#: Lanes of one client that are put in order.
_MAX_CLIENT_LANES = 20_000
#: Dead letters are counted by lane only if there are no more than this, and the counts are used again for this time.
_MAX_COUNTED_LETTERS = 20_000
_LETTER_COUNTS_TTL_S = 5.0

#: When the oldest write of a lane was accepted (ms), and the lane. Pages are in this order, or in the reverse.
_Place = tuple[float, bytes]


class RedisLanes:
    """See `bridge.operations.lanes.Lanes` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._attempt = load(client, "attempt")
        self._letters = _LetterCounts(client)

    def page(self, wanted: LaneQuery) -> LanePage:
        """Return lanes in order of their oldest write."""
        after = _decode_cursor(wanted.cursor)
        matching: list[LaneDocument] = []
        last: _Place | None = None
        with store_errors():
            places = self._client_places(wanted, after) if wanted.client else self._all_places(wanted, after)
            scanned = islice(places, _MAX_SCANNED_LANES)
            # A chunk is no longer than the page: most lanes match, and further ones would be read for nothing.
            while chunk := list(islice(scanned, min(_CHUNK_LANES, wanted.limit))):
                for place, document in zip(chunk, self._read([lane for _, lane in chunk]), strict=True):
                    last = place
                    if document.pending and wanted.state in (None, document.state):
                        matching.append(document)
                    if len(matching) == wanted.limit:
                        return LanePage(matching, _encode_cursor(last))
            # Either no lane is left, or this page has scanned its share, and the next one continues.
            return LanePage(matching, _encode_cursor(last) if last and next(places, None) else None)

    def lane(self, lane: str) -> LaneDocument | None:
        """Return one lane."""
        with store_errors():
            [document] = self._read([lane.encode()])
            is_known = document.pending or document.dead_letters or self._client.exists(keys.lane_state(lane))
        return document if is_known else None

    def attempt(self, lane: str) -> AttemptOrder:
        """Make a lane due now."""
        with store_errors():
            state = self._attempt([keys.lane_state(lane), keys.ready(keys.partition(lane))], [lane])
        return AttemptOrder[state.decode().upper()]

    def _client_places(self, wanted: LaneQuery, after: _Place | None) -> Iterator[_Place]:
        """Yield the places of the lanes that the client writes to, in order, behind ``after``."""
        newest_first = wanted.order == "newest"
        lanes = lanes_of(self._client, wanted.client or "", limit=_MAX_CLIENT_LANES)
        pipeline = self._client.pipeline(transaction=False)
        for lane in lanes:
            pipeline.zscore(keys.oldest(keys.partition(lane)), lane)
        times = pipeline.execute() if lanes else []
        places = [(at_ms, lane.encode()) for lane, at_ms in zip(lanes, times, strict=True) if at_ms is not None]
        return _behind(after, sorted(places, reverse=newest_first), newest_first=newest_first)

    def _all_places(self, wanted: LaneQuery, after: _Place | None) -> Iterator[_Place]:
        """Yield the places of all lanes, in order, behind ``after``."""
        newest_first = wanted.order == "newest"
        partitions = (
            self._partition_places(number, after, newest_first=newest_first) for number in range(keys.PARTITIONS)
        )
        return _behind(after, heapq.merge(*partitions, reverse=newest_first), newest_first=newest_first)

    def _partition_places(self, number: int, after: _Place | None, *, newest_first: bool) -> Iterator[_Place]:
        """Yield the places in a partition, from the time of ``after`` on. Redis orders equal times by lane."""
        first, last = ("+inf", "-inf") if newest_first else ("-inf", "+inf")
        begin = after[0] if after else first
        options = {"desc": newest_first, "byscore": True, "num": _CHUNK_LANES, "withscores": True}
        offset = 0
        while lanes := self._client.zrange(keys.oldest(number), begin, last, offset=offset, **options):
            offset += len(lanes)
            yield from ((at_ms, lane) for lane, at_ms in lanes)

    def _read(self, lanes: Sequence[bytes]) -> list[LaneDocument]:
        """Return the documents of lanes, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        names = [lane.decode() for lane in lanes]
        for name in names:
            pipeline.llen(keys.writes(name))
            pipeline.zscore(keys.oldest(keys.partition(name)), name)
            pipeline.hmget(keys.lane_state(name), "bytes", "attempts", "failure", "lease", "client", "denied_since")
            pipeline.zscore(keys.ready(keys.partition(name)), name)
        answers, now_ms, letters = pipeline.execute(), store_time_ms(self._client), self._letters.read()
        parts = zip(names, answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True)
        return [_document(name, *part, now_ms=now_ms, letters=letters) for name, *part in parts]


def _behind(after: _Place | None, places: Iterable[_Place], *, newest_first: bool) -> Iterator[_Place]:
    return (place for place in places if after is None or (place < after if newest_first else place > after))


class _LetterCounts:
    """How many dead letters each lane has."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see RedisOutbox
        self._client = client
        self._lock = threading.Lock()
        self._counts: Mapping[str, int] | None = None
        self._read_at = float("-inf")

    def read(self) -> Mapping[str, int] | None:
        """Return the counts, a few seconds old at most; None if there are too many letters to count."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at > _LETTER_COUNTS_TTL_S:
                self._counts, self._read_at = self._count(), now
            return self._counts

    def _count(self) -> Mapping[str, int] | None:
        pipeline = self._client.pipeline(transaction=False)
        for number in range(keys.PARTITIONS):
            pipeline.zcard(keys.letters(number))
        if sum(pipeline.execute()) > _MAX_COUNTED_LETTERS:
            return None
        for number in range(keys.PARTITIONS):
            pipeline.zrange(keys.letters(number), 0, -1)
        return Counter(line.split(b"/", 2)[1].decode() for lines in pipeline.execute() for line in lines)


def _document(
    lane: str,
    pending: int,
    accepted_ms: float | None,
    state: Sequence[bytes | None],
    due_ms: float | None,
    *,
    now_ms: int,
    letters: Mapping[str, int] | None,
) -> LaneDocument:
    size, attempts, failure, lease, client, denied_since = state
    is_leased = bool(lease and due_ms and due_ms > now_ms)
    # In the form of backlog.lua's result.
    backlog_state = [
        *(pending, size or 0, accepted_ms if pending else None, now_ms, attempts or 0),
        *(failure or b"", due_ms or b"", b"1" if is_leased else b"0"),
    ]
    backlog = lane_backlog(lane, backlog_state)
    named = named_run(lane)
    return LaneDocument(
        **{name: getattr(backlog, name) for name in LaneBacklog.__struct_fields__},
        client=client.decode() if client else None,
        run_name=named.name if named else None,
        dead_letters=None if letters is None else letters.get(lane, 0),
        state=_state(backlog, is_denied=denied_since is not None),
    )


def _state(backlog: LaneBacklog, *, is_denied: bool) -> LaneState:
    if is_denied:
        return "denied"
    # A lane that only waits for flow control has a failure, and no failed attempt.
    if backlog.attempts:
        return "failing"
    return "delivering" if backlog.delivering else "waiting"


def _encode_cursor(place: _Place) -> str:
    at_ms, lane = place
    return base64.urlsafe_b64encode(b"%d/%s" % (at_ms, lane)).decode()


def _decode_cursor(cursor: str | None) -> _Place | None:
    if cursor is None:
        return None
    try:
        at_ms, _, lane = base64.b64decode(cursor, altchars=b"-_", validate=True).partition(b"/")
        # No time in ms has more than 16 digits; a longer number could overflow a float.
        if not lane or len(at_ms) > 16:
            raise InvalidCursor(cursor)
        return float(int(at_ms)), lane
    except ValueError:
        raise InvalidCursor(cursor) from None
