# SPDX-License-Identifier: Apache-2.0
"""The stored form of writes, outcomes and dead letters: MessagePack arrays, which save space in millions of records.

Fields may be appended, never reordered: a newer bridge reads what an older one stored. The Lua scripts put a prefix of
fixed width before some records:

====================  ==========================================================================  ====================
stored                prefix                                                                      record
====================  ==========================================================================  ====================
entry of a lane       time (13 digits, ms), accept id (8 bytes)                                   write
note of an attempt    position of the last write sent (16 digits), time (13 digits, ms)           `FailedAttempt`
settled call          position of the last job settled (16 digits), time (13 digits, ms)          `SettledCall`
dead letter           time (13 digits, ms)                                                        `DeadLetter`
====================  ==========================================================================  ====================
"""

import datetime as dt
from typing import NamedTuple

import msgspec

from bridge.outbox import ACCEPT_ID_BYTES
from bridge.redis_store.timestamps import from_ms
from schemas.job import Job, UpstreamAnswer
from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext
from schemas.write import NO_FRAGMENT, Fragment, Op, Write

_TIME_DIGITS = 13
_POSITION_DIGITS = 16
#: How many bytes the scripts put before a record: of a dead letter, of a note or a settled call, of a write.
_LETTER_PREFIX_BYTES = _TIME_DIGITS
_LOG_PREFIX_BYTES = _POSITION_DIGITS + _TIME_DIGITS
ENTRY_PREFIX_BYTES = _TIME_DIGITS + ACCEPT_ID_BYTES


class _StoredWrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    op: str
    client: str
    workspace: str | None = None
    metrics: Fragment = NO_FRAGMENT
    params: Fragment = NO_FRAGMENT
    tags: Fragment = NO_FRAGMENT
    #: The position at which the write was first accepted, if it is the replay of a dead letter; else 0.
    origin: int = 0
    #: The body of a write that does not merge into ``log-batch``, with its headers if it is not JSON.
    single_body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    trace_context: TraceContext = NO_TRACE_CONTEXT


class _StoredOp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first field of a `_StoredWrite`: decoding it alone costs less."""

    op: str


class SettledCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The outcome of one upstream call, for the ``count`` jobs that it carries."""

    count: int
    attempts: int
    status: int
    request_id: str | None = None
    dead_lettered: bool = False


class FailedAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The outcome of one call that carried ``writes`` jobs and did not deliver them."""

    writes: int
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job that was given up on, complete, and why."""

    reason: str
    message: str
    attempts: int
    answer: UpstreamAnswer | None
    #: The entry of the write as it stood in its lane.
    entry: bytes
    #: The notes of the failed attempts that carried the write, except the last one.
    notes: tuple[bytes, ...] = ()


class ReplayRecord(NamedTuple):
    """The record of a write that a replay accepts again."""

    record: bytes
    client: str
    #: The position at which the write was first accepted.
    origin: int


def pack_write(write: Write, client: str, trace_context: TraceContext = NO_TRACE_CONTEXT) -> bytes:
    """Return the record of a write. The lane is not part of it: the key of the list names it."""
    metrics, params, tags = write.metrics, write.params, write.tags
    parts = (metrics, params, tags, 0, write.single_body, write.headers, trace_context)
    return _pack(_StoredWrite(write.op, client, write.workspace, *parts))


def unpack_entry(entry: bytes, *, lane: str, position: int) -> Job:
    """Return the job that an entry of a lane stands for."""
    stored = _unpack_write(entry[ENTRY_PREFIX_BYTES:])
    write = Write(
        op=Op(stored.op),
        lane=lane,
        metrics=stored.metrics,
        params=stored.params,
        tags=stored.tags,
        single_body=stored.single_body,
        headers=stored.headers,
        workspace=stored.workspace,
    )
    return Job(
        write=write,
        lane=lane,
        position=position,
        accepted_at=_time_at(entry, 0),
        client=stored.client,
        size=len(entry),
        trace_context=stored.trace_context,
    )


def pack_replay(entry: bytes, *, position: int) -> ReplayRecord:
    """Return the record with which the dead letter of this entry and position is accepted again."""
    stored = _unpack_write(entry[ENTRY_PREFIX_BYTES:])
    origin = stored.origin or position
    return ReplayRecord(_pack(msgspec.structs.replace(stored, origin=origin)), stored.client, origin)


def pack(record: SettledCall | DeadLetter | FailedAttempt) -> bytes:
    """Return the stored form of an outcome, a dead letter or an attempt."""
    return _pack(record)


def last_sent_position(note: bytes) -> int:
    """Return the position of the last write that the attempt of a note carried."""
    return int(note[:_POSITION_DIGITS])


def unpack_note(note: bytes) -> tuple[dt.datetime, FailedAttempt]:
    """Return when the attempt of a note failed, and how."""
    return _time_at(note, _POSITION_DIGITS), _unpack_attempt(note[_LOG_PREFIX_BYTES:])


def unpack_settled(stored: bytes) -> tuple[int, dt.datetime, SettledCall]:
    """Return the position of the last job, the time, and the outcome of a call in a lane's log of settled calls."""
    last_position = int(stored[:_POSITION_DIGITS])
    return last_position, _time_at(stored, _POSITION_DIGITS), _unpack_settled(stored[_LOG_PREFIX_BYTES:])


def unpack_letter(stored: bytes) -> tuple[dt.datetime, DeadLetter]:
    """Return when a job was dead-lettered, and its letter."""
    return _time_at(stored, 0), _unpack_letter(stored[_LETTER_PREFIX_BYTES:])


def letter_op(letter: DeadLetter) -> str:
    """Return the operation of a dead letter's write, without reading the rest of it."""
    return _unpack_op(letter.entry[ENTRY_PREFIX_BYTES:]).op


def _time_at(stored: bytes, offset: int) -> dt.datetime:
    return from_ms(stored[offset : offset + _TIME_DIGITS])


_pack = msgspec.msgpack.Encoder().encode
_unpack_write = msgspec.msgpack.Decoder(_StoredWrite).decode
_unpack_op = msgspec.msgpack.Decoder(_StoredOp).decode
_unpack_settled = msgspec.msgpack.Decoder(SettledCall).decode
_unpack_attempt = msgspec.msgpack.Decoder(FailedAttempt).decode
_unpack_letter = msgspec.msgpack.Decoder(DeadLetter).decode
