# SPDX-License-Identifier: Apache-2.0
"""The lanes with pending writes in Redis. The contract is `bridge.operations.lanes.Lanes`.

The order is that of the ``oldest`` sets of all partitions, merged. States are read for the lanes that a page looks at.
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
_CHUNK = 200
#: Lanes that one page looks at, so that a rare state does not delay a request.
_MAX_SCANNED = 5000
#: Lanes of one client that are put in order.
_MAX_OF_CLIENT = 20_000
#: Dead letters are counted by lane as long as there are no more, and the counts are remembered for a while.
_MAX_LETTERS = 20_000
_LETTERS_TTL_S = 5.0

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
        after, found, last = _decode_cursor(wanted.cursor), [], None
        with store_errors():
            places = self._of_client(wanted, after) if wanted.client else self._scan(wanted, after)
            limited = islice(places, _MAX_SCANNED)
            # As many as the page needs, at least: most lanes match.
            while chunk := list(islice(limited, min(_CHUNK, wanted.limit))):
                for place, document in zip(chunk, self._read([lane for _, lane in chunk]), strict=True):
                    last = place
                    if document.pending and wanted.state in (None, document.state):
                        found.append(document)
                    if len(found) == wanted.limit:
                        return LanePage(found, _encode_cursor(last))
            # Either nothing is left, or the page has looked at its share, and the next one goes on.
            return LanePage(found, _encode_cursor(last) if last and next(places, None) else None)

    def lane(self, lane: str) -> LaneDocument | None:
        """Return one lane."""
        with store_errors():
            [document] = self._read([lane.encode()])
            is_known = document.pending or document.dead_letters or self._client.exists(keys.lane_state(lane))
        return document if is_known else None

    def attempt(self, lane: str) -> AttemptOrder:
        """Make a lane due now."""
        with store_errors():
            became = self._attempt([keys.lane_state(lane), keys.ready(keys.partition(lane))], [lane])
        return AttemptOrder[became.decode().upper()]

    def _of_client(self, wanted: LaneQuery, after: _Place | None) -> Iterator[_Place]:
        """Yield the places of the lanes that the client writes to."""
        lanes, newest = lanes_of(self._client, wanted.client or "", limit=_MAX_OF_CLIENT), wanted.order == "newest"
        pipeline = self._client.pipeline(transaction=False)
        for lane in lanes:
            pipeline.zscore(keys.oldest(keys.partition(lane)), lane)
        times = pipeline.execute() if lanes else []
        places = ((at, lane.encode()) for lane, at in zip(lanes, times, strict=True) if at is not None)
        return _behind(after, sorted(places, reverse=newest), newest=newest)

    def _scan(self, wanted: LaneQuery, after: _Place | None) -> Iterator[_Place]:
        """Yield the places of all lanes, in order."""
        newest = wanted.order == "newest"
        partitions = (self._partition(number, after, newest=newest) for number in range(keys.PARTITIONS))
        return _behind(after, heapq.merge(*partitions, reverse=newest), newest=newest)

    def _partition(self, number: int, after: _Place | None, *, newest: bool) -> Iterator[_Place]:
        """Yield the places in a partition, from the time of the last one on. Redis orders equal times by lane."""
        begin, end = ("+inf", "-inf") if newest else ("-inf", "+inf")
        offset, options = 0, {"desc": newest, "byscore": True, "num": _CHUNK, "withscores": True}
        first = after[0] if after else begin
        while lanes := self._client.zrange(keys.oldest(number), first, end, offset=offset, **options):
            offset += len(lanes)
            yield from ((at, lane) for lane, at in lanes)

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


def _behind(after: _Place | None, places: Iterable[_Place], *, newest: bool) -> Iterator[_Place]:
    return (place for place in places if after is None or (place < after if newest else place > after))


class _LetterCounts:
    """How many dead letters each lane has."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see RedisOutbox
        self._client = client
        self._lock = threading.Lock()
        self._counts: Mapping[str, int] | None = None
        self._read_at = float("-inf")

    def read(self) -> Mapping[str, int] | None:
        """Return the counts of a moment ago, None where there are too many letters to count."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at > _LETTERS_TTL_S:
                self._counts, self._read_at = self._count(), now
            return self._counts

    def _count(self) -> Mapping[str, int] | None:
        pipeline = self._client.pipeline(transaction=False)
        for number in range(keys.PARTITIONS):
            pipeline.zcard(keys.letters(number))
        if sum(pipeline.execute()) > _MAX_LETTERS:
            return None
        for number in range(keys.PARTITIONS):
            pipeline.zrange(keys.letters(number), 0, -1)
        return Counter(line.split(b"/", 2)[1].decode() for lines in pipeline.execute() for line in lines)


def _document(
    lane: str,
    pending: int,
    accepted_ms: float | None,
    state: Sequence[bytes | None],
    due: float | None,
    *,
    now_ms: int,
    letters: Mapping[str, int] | None,
) -> LaneDocument:
    size, attempts, failure, lease, client, denied_since = state
    is_leased = bool(lease and due and due > now_ms)
    backlog = lane_backlog(
        lane,
        [
            *(pending, size or 0, accepted_ms if pending else None, now_ms, attempts or 0),
            *(failure or b"", due or b"", b"1" if is_leased else b"0"),
        ],
    )
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
    # What only waits for flow control has a reason, and no failed attempt.
    if backlog.attempts:
        return "failing"
    return "delivering" if backlog.delivering else "waiting"


def _encode_cursor(place: _Place) -> str:
    at, lane = place
    return base64.urlsafe_b64encode(b"%d/%s" % (at, lane)).decode()


def _decode_cursor(cursor: str | None) -> _Place | None:
    if cursor is None:
        return None
    try:
        at, _, lane = base64.b64decode(cursor, altchars=b"-_", validate=True).partition(b"/")
        if not lane or len(at) > 16:
            raise InvalidCursor(cursor)
        return float(int(at)), lane
    except ValueError:
        raise InvalidCursor(cursor) from None
