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
#: Entries that are read at a time, and that one page scans at most.
_CHUNK_ENTRIES, _MAX_SCANNED_ENTRIES = 500, 5_000
#: A record is stored later than it is made, by a clock that may differ.
_MAX_DELAY = dt.timedelta(hours=1)
_FIELD = b"record"
#: The streams by the letter that ends the ids of their entries.
_CHANGES, _DENIALS = "c", "d"
_STREAM_KEYS = {_CHANGES: keys.AUDITED_CHANGES, _DENIALS: keys.AUDITED_DENIALS}
_ENTRY_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,15})\.([cd])")


class _Place(NamedTuple):
    """The place of an entry in both streams together, in order of time: the parts of its id."""

    ms: int
    #: Among the entries of the stream in this millisecond.
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
        oldest_ms = _ms(dt.datetime.now(dt.UTC) - MAX_AGE)
        pipeline = self._client.pipeline(transaction=False)
        for record in records:
            stream_key = keys.AUDITED_CHANGES if record.decision == "allowed" else keys.AUDITED_DENIALS
            pipeline.xadd(stream_key, {_FIELD: _pack(record)}, maxlen=MAX_ENTRIES, approximate=True)
        for stream_key in _STREAM_KEYS.values():
            pipeline.xtrim(stream_key, minid=oldest_ms, approximate=True)
        with store_errors():
            pipeline.execute()

    def page(self, wanted: AuditFilter, *, after: str | None, limit: int) -> AuditPage:
        """Return entries, the newest first."""
        entries: list[AuditEntry] = []
        before = _read_place(after) if after else None
        with store_errors():
            for scanned, (place, packed) in enumerate(self._newest_first(wanted, before), 1):
                record = _unpack(packed)
                if wanted.matches(record):
                    entries.append(AuditEntry(id=place.entry_id, **msgspec.structs.asdict(record)))
                if len(entries) == limit or scanned == _MAX_SCANNED_ENTRIES:
                    return AuditPage(entries=entries, next=place.entry_id)
        return AuditPage(entries=entries, next=None)

    def _newest_first(self, wanted: AuditFilter, before: _Place | None) -> Iterator[tuple[_Place, bytes]]:
        oldest = dt.datetime.now(dt.UTC) - MAX_AGE
        if wanted.since:
            oldest = max(oldest, wanted.since - _MAX_DELAY)
        if wanted.decision is None:
            streams = [_CHANGES, _DENIALS]
        else:
            streams = [_CHANGES if wanted.decision == "allowed" else _DENIALS]
        entries = [self._backwards(stream, before, _ms(oldest)) for stream in streams]
        return heapq.merge(*entries, key=lambda entry: entry[0], reverse=True)

    def _backwards(self, stream: str, before: _Place | None, oldest_ms: int) -> Iterator[tuple[_Place, bytes]]:
        """Yield the entries of one stream before a place, the newest first, each as its place and its packed record."""
        end = "+"
        if before:
            # Of two entries at the same time and number, that of the stream with the smaller letter is older.
            exclusive = "" if stream < before.stream else "("
            end = f"{exclusive}{before.ms}-{before.number}"
        while chunk := self._client.xrevrange(_STREAM_KEYS[stream], max=end, min=oldest_ms, count=_CHUNK_ENTRIES):
            for stream_id, fields in chunk:
                ms, _, number = stream_id.decode().partition("-")
                yield _Place(int(ms), int(number), stream), fields[_FIELD]
            last_id, _ = chunk[-1]
            end = f"({last_id.decode()}"


def _read_place(entry_id: str) -> _Place:
    """Return the place that an entry's id names. Raises ``InvalidAuditCursor``."""
    matched = _ENTRY_ID.fullmatch(entry_id)
    if not matched:
        raise InvalidAuditCursor
    return _Place(int(matched[1]), int(matched[2]), matched[3])


def _ms(moment: dt.datetime) -> int:
    return max(0, round(moment.timestamp() * 1000))


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(AuditRecord).decode
