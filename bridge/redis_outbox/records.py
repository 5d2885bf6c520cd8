# SPDX-License-Identifier: Apache-2.0
"""How writes, outcomes and dead letters are stored: as MessagePack arrays, for they are many.

Fields may be appended, never reordered: a newer bridge reads what an older one stored.
"""

import datetime as dt

import msgspec

from schemas.job import Job, UpstreamAnswer
from schemas.write import NOTHING, Fragment, Op, Write


class _StoredWrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    op: str
    client: str
    workspace: str | None = None
    metrics: Fragment = NOTHING
    params: Fragment = NOTHING
    tags: Fragment = NOTHING


class SettledCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of one upstream call, for the ``count`` jobs that it carried."""

    count: int
    attempts: int
    status: int
    request_id: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job that was given up on, whole, and why."""

    reason: str
    message: str
    attempts: int
    answer: UpstreamAnswer | None
    #: The entry of the write as it stood in its lane.
    entry: bytes


def pack_write(write: Write, client: str) -> bytes:
    """Return the record of a write; its run is not in it, the lane tells it."""
    return _pack(_StoredWrite(write.op, client, write.workspace, write.metrics, write.params, write.tags))


def unpack_entry(entry: bytes, *, lane: str, position: int) -> Job:
    """Return the job that an entry of a lane stands for."""
    stored = _unpack_write(entry[_RECORD:])
    write = Write(
        op=Op(stored.op),
        run_id=lane,
        metrics=stored.metrics,
        params=stored.params,
        tags=stored.tags,
        workspace=stored.workspace,
    )
    return Job(write=write, lane=lane, position=position, accepted_at=read_time(entry), client=stored.client)


def pack(record: SettledCall | DeadLetter) -> bytes:
    """Return the stored form of an outcome or a dead letter."""
    return _pack(record)


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
_unpack_letter = msgspec.msgpack.Decoder(DeadLetter).decode
