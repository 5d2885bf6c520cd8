# SPDX-License-Identifier: Apache-2.0
"""The audit records in Redis: two streams. The contract is `bridge.telemetry.audit.AuditStore`.

Denials have a stream of their own, because anybody can cause them: they must not push out what operators did.
"""

import datetime as dt
import heapq
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.telemetry.audit import InvalidAuditCursor
from schemas.audit import AuditEntry, AuditFilter, AuditPage, AuditRecord

#: What each stream keeps.
MAX_ENTRIES, MAX_AGE = 10_000, dt.timedelta(days=90)
#: Entries that are read at a time, and that one page looks at.
_CHUNK, _MAX_SCANNED = 500, 5_000
#: A record is stored later than it is made, by a clock that may differ.
_MAX_DELAY = dt.timedelta(hours=1)
_FIELD = b"record"
#: By the letter of their ids.
_STREAMS = {"c": keys.AUDITED_CHANGES, "d": keys.AUDITED_DENIALS}
_ENTRY_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,15})\.([cd])")


class _Place(NamedTuple):
    """Where an entry is, in order of time."""

    ms: int
    number: int
    stream: str

    @property
    def entry_id(self) -> str:
        return f"{self.ms}-{self.number}.{self.stream}"


class RedisAuditStore:
    """See `bridge.telemetry.audit.AuditStore` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def append(self, records: Sequence[AuditRecord]) -> None:
        """Store records, in one round trip."""
        oldest = _ms(dt.datetime.now(dt.UTC) - MAX_AGE)
        pipeline = self._client.pipeline(transaction=False)
        for record in records:
            stream = keys.AUDITED_CHANGES if record.decision == "allowed" else keys.AUDITED_DENIALS
            pipeline.xadd(stream, {_FIELD: _pack(record)}, maxlen=MAX_ENTRIES, approximate=True)
        for stream in _STREAMS.values():
            pipeline.xtrim(stream, minid=oldest, approximate=True)
        with store_errors():
            pipeline.execute()

    def page(self, wanted: AuditFilter, *, after: str | None, limit: int) -> AuditPage:
        """Return entries, the newest first."""
        entries: list[AuditEntry] = []
        before = _place(after) if after else None
        with store_errors():
            for scanned, (place, packed) in enumerate(self._newest_first(wanted, before), 1):
                record = _unpack(packed)
                if wanted.matches(record):
                    entries.append(AuditEntry(id=place.entry_id, **msgspec.structs.asdict(record)))
                if len(entries) == limit or scanned == _MAX_SCANNED:
                    return AuditPage(entries=entries, next=place.entry_id)
        return AuditPage(entries=entries, next=None)

    def _newest_first(self, wanted: AuditFilter, before: _Place | None) -> Iterator[tuple[_Place, bytes]]:
        oldest = dt.datetime.now(dt.UTC) - MAX_AGE
        if wanted.since:
            oldest = max(oldest, wanted.since - _MAX_DELAY)
        letters = {None: "cd", "allowed": "c"}.get(wanted.decision, "d")
        streams = [self._backwards(letter, before, _ms(oldest)) for letter in letters]
        return heapq.merge(*streams, key=lambda found: found[0], reverse=True)

    def _backwards(self, letter: str, before: _Place | None, oldest_ms: int) -> Iterator[tuple[_Place, bytes]]:
        """Yield what one stream holds before a place, the newest first."""
        end = "+"
        if before:
            # At the same time and number, the entry of the other stream may come after the place.
            end = f"{'' if letter < before.stream else '('}{before.ms}-{before.number}"
        while found := self._client.xrevrange(_STREAMS[letter], max=end, min=oldest_ms, count=_CHUNK):
            for stream_id, fields in found:
                ms, _, number = stream_id.decode().partition("-")
                yield _Place(int(ms), int(number), letter), fields[_FIELD]
            end = f"({found[-1][0].decode()}"


def _place(entry_id: str) -> _Place:
    matched = _ENTRY_ID.fullmatch(entry_id)
    if not matched:
        raise InvalidAuditCursor
    return _Place(int(matched[1]), int(matched[2]), matched[3])


def _ms(moment: dt.datetime) -> int:
    return max(0, round(moment.timestamp() * 1000))


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(AuditRecord).decode
