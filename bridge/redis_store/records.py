# SPDX-License-Identifier: Apache-2.0
"""How writes, outcomes and dead letters are stored: as MessagePack arrays, for they are many.

Fields may be appended, never reordered: a newer bridge reads what an older one stored.
"""

import datetime as dt

import msgspec

from schemas.job import Job, UpstreamAnswer
from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext
from schemas.write import NOTHING, Fragment, Op, Write


class _StoredWrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    op: str
    client: str
    workspace: str | None = None
    metrics: Fragment = NOTHING
    params: Fragment = NOTHING
    tags: Fragment = NOTHING
    #: The position at which the write was first accepted, if it is the replay of a dead letter; else 0.
    origin: int = 0
    whole: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    trace_context: TraceContext = NO_TRACE_CONTEXT


class SettledCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of one upstream call, for the ``count`` jobs that it carries."""

    count: int
    attempts: int
    status: int
    request_id: str | None = None
    dead_lettered: bool = False


class FailedAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of one call that carried ``writes`` and did not deliver them."""

    writes: int
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job that was given up on, whole, and why."""

    reason: str
    message: str
    attempts: int
    answer: UpstreamAnswer | None
    #: The entry of the write as it stood in its lane.
    entry: bytes
    #: The notes of the failed attempts that carried the write, but for the last: position, time, `FailedAttempt`.
    notes: tuple[bytes, ...] = ()


def pack_write(write: Write, client: str, trace_context: TraceContext = NO_TRACE_CONTEXT) -> bytes:
    """Return the record of a write; its lane is not in it, for that is where it lies."""
    metrics, params, tags = write.metrics, write.params, write.tags
    parts = (metrics, params, tags, 0, write.whole, write.headers, trace_context)
    return _pack(_StoredWrite(write.op, client, write.workspace, *parts))


def unpack_entry(entry: bytes, *, lane: str, position: int) -> Job:
    """Return the job that an entry of a lane stands for."""
    stored = _unpack_write(entry[_RECORD:])
    write = Write(
        op=Op(stored.op),
        lane=lane,
        metrics=stored.metrics,
        params=stored.params,
        tags=stored.tags,
        whole=stored.whole,
        headers=stored.headers,
        workspace=stored.workspace,
    )
    return Job(
        write=write,
        lane=lane,
        position=position,
        accepted_at=read_time(entry),
        client=stored.client,
        size=len(entry),
        trace_context=stored.trace_context,
    )


def pack_replay(entry: bytes, *, position: int) -> tuple[bytes, str, int]:
    """Return the record with which a dead letter's entry is accepted anew, its client, and where it stood at first."""
    stored = _unpack_write(entry[_RECORD:])
    origin = stored.origin or position
    return _pack(msgspec.structs.replace(stored, origin=origin)), stored.client, origin


def pack(record: SettledCall | DeadLetter | FailedAttempt) -> bytes:
    """Return the stored form of an outcome, a dead letter or an attempt."""
    return _pack(record)


def last_sent(note: bytes) -> int:
    """Return the position of the last write that the attempt of a note carries."""
    return int(note[:16])


def unpack_note(note: bytes) -> tuple[dt.datetime, FailedAttempt]:
    """Return when the attempt of a note failed, and how."""
    return read_time(note[16:]), _unpack_attempt(note[29:])


def unpack_settled(record: bytes) -> tuple[int, dt.datetime, SettledCall]:
    """Return the position of the last job, the time, and the outcome of a record in a lane's log."""
    return int(record[:16]), read_time(record[16:]), _unpack_settled(record[29:])


def unpack_letter(stored: bytes) -> tuple[dt.datetime, DeadLetter]:
    """Return when a letter was buried, and the letter."""
    return read_time(stored), _unpack_letter(stored[13:])


def read_time(stored: bytes) -> dt.datetime:
    """Return the time that the first 13 digits hold, in milliseconds."""
    return dt.datetime.fromtimestamp(int(stored[:13]) / 1000, dt.UTC)


# An entry begins with the time (13 digits) and the accept id (8 bytes), see accept.lua.
_RECORD = 13 + 8

_pack = msgspec.msgpack.Encoder().encode
_unpack_write = msgspec.msgpack.Decoder(_StoredWrite).decode
_unpack_settled = msgspec.msgpack.Decoder(SettledCall).decode
_unpack_attempt = msgspec.msgpack.Decoder(FailedAttempt).decode
_unpack_letter = msgspec.msgpack.Decoder(DeadLetter).decode
