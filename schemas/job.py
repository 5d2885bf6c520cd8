# SPDX-License-Identifier: Apache-2.0
"""A job: our promise to deliver one write, and what is known of it at any moment."""

import base64
import datetime as dt
import enum
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext
from schemas.write import Op, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An accepted write and its place in its lane."""

    write: Write
    lane: str
    #: Grows by one with each write of the lane; a lane's writes are delivered in this order.
    position: int
    accepted_at: dt.datetime
    client: str
    #: The bytes that the store holds for it.
    size: int = 0
    #: By which it can be followed.
    trace_context: TraceContext = NO_TRACE_CONTEXT


class AcceptedJob(msgspec.Struct, frozen=True):
    """The job of one of the writes."""

    job_id: str
    lane: str
    run_id: str | None
    op: Op


class AcceptedJobs(msgspec.Struct, frozen=True):
    """The jobs of all the writes, in their order."""

    jobs: tuple[AcceptedJob, ...]


class JobStatus(enum.StrEnum):
    """What became of a job. There is no status for "being tried": a pending job may be tried at any moment."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DISCARDED = "discarded"


class UpstreamAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What upstream said about a job the last time it answered."""

    status: int
    error_code: str | None = None
    message: str | None = None
    request_id: str | None = None


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job is dead, or why its last attempt did not succeed."""

    #: Of a dead job ``refused``, ``expired``, ``poison`` or ``denied``; of a pending one, which will be tried again,
    #: ``unavailable``, ``unknown`` or ``denied``.
    reason: str
    message: str


class LaneBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What is pending of one run, as ``GET /v1/runs/{run_id}/backlog`` gives it."""

    lane: str
    run_id: str | None
    #: How many writes.
    pending: int
    bytes: int
    oldest_accepted_at: dt.datetime | None = None
    #: The age of the oldest, in seconds.
    lag: float = 0.0
    #: A worker is delivering it at this moment.
    delivering: bool = False
    #: How many attempts at the oldest have failed.
    attempts: int = 0
    #: When the next attempt is due, if it is not now.
    next_attempt_at: dt.datetime | None = None
    #: Why the last attempt failed.
    error: JobError | None = None


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to "what became of my write?", as ``GET /v1/jobs/{id}`` gives it."""

    job_id: str
    status: JobStatus
    #: What orders the write: the run's id, or what else it is about (`schemas.lane`).
    lane: str
    #: The run, None for a write that is about something else, or about a run that its client has named.
    run_id: str | None
    op: Op
    accepted_at: dt.datetime
    settled_at: dt.datetime | None = None
    #: How many times the job was sent upstream, as far as that is known.
    attempts: int = 0
    #: When the next attempt is due, while earlier ones failed.
    next_attempt_at: dt.datetime | None = None
    error: JobError | None = None
    upstream: UpstreamAnswer | None = None


class Lookup(msgspec.Struct, frozen=True):
    """Body of ``POST /v1/jobs/lookup``."""

    job_ids: Annotated[list[str], msgspec.Meta(max_length=1000)]


class JobDocuments(msgspec.Struct, frozen=True):
    """What is known of many jobs, in the order in which they were asked for; null for one of which nothing is."""

    jobs: list[JobDocument | None]


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs ``GET /v1/jobs`` is asked for: those of one run, or of another lane."""

    run_id: str | None = None
    #: A run by its client's name for it.
    run: str | None = None
    lane: str | None = None
    #: What was delivered is known by the ids of its jobs only.
    status: Literal["pending", "dead"] = "pending"
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JobPage(msgspec.Struct, frozen=True):
    """Some jobs of a lane, the oldest first; ``next`` is the cursor of the page that follows, None at the end."""

    jobs: list[JobDocument]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobId:
    """Where a job is found. It is its own record: no key is kept for it, its text holds all of this and a seal.

    The seal is a keyed hash over the fields and the client, so an id answers only to the client that was given it, and
    to who may see everybody's jobs.
    """

    partition: int
    lane: str
    position: int
    op: Op
    accepted_at: dt.datetime

    def seal(self, client: str, key: bytes) -> str:
        """Return the id's text for this client: about 56 characters that are safe in a URL."""
        fields = self._fields()
        return base64.urlsafe_b64encode(fields + _signature(fields, client, key)).rstrip(b"=").decode()

    @classmethod
    def unseal(cls, text: str, client: str, key: bytes) -> "JobId | None":
        """Return the id if we gave this very text to this client, else None."""
        opened = _open(text)
        if not opened:
            return None
        fields, signature = opened
        if not hmac.compare_digest(signature, _signature(fields, client, key)):
            return None
        found = cls._from_fields(fields)
        # The last character may have bits to spare: one job has one text.
        return found if found.seal(client, key) == text else None

    @classmethod
    def read(cls, text: str) -> "JobId | None":
        """Return the id that a text says, None if it says none; for who may see everybody's jobs.

        Whether we gave this text to anybody is not known: that can only be told with the name of the client.
        """
        opened = _open(text)
        if not opened:
            return None
        fields, _ = opened
        try:
            found = cls._from_fields(fields)
        except (ValueError, IndexError):
            return None
        return found if found._fields() == fields else None

    def _fields(self) -> bytes:
        hexadecimal = bool(_RUN_ID.fullmatch(self.lane))
        return b"".join(
            (
                bytes((_PACKED if hexadecimal else _PLAIN, self.partition, _OPS.index(self.op))),
                _milliseconds(self.accepted_at).to_bytes(6),
                self.position.to_bytes(7),
                bytes.fromhex(self.lane) if hexadecimal else self.lane.encode(),
            )
        )

    @classmethod
    def _from_fields(cls, fields: bytes) -> "JobId":
        version, partition, op = fields[:3]
        lane = fields[16:]
        return cls(
            partition=partition,
            lane=lane.hex() if version == _PACKED else lane.decode(),
            position=int.from_bytes(fields[9:16]),
            op=_OPS[op],
            accepted_at=dt.datetime.fromtimestamp(int.from_bytes(fields[3:9]) / 1000, dt.UTC),
        )


_SEAL_BYTES = 10
_PACKED, _PLAIN = 1, 2
_TEXT = re.compile(r"[A-Za-z0-9_-]{35,2000}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
# Positions in this list are part of issued ids: append only.
_OPS = [
    *(Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG, Op.LOG_BATCH),
    *(Op.DELETE_TAG, Op.UPDATE_RUN, Op.LOG_INPUTS, Op.LOG_OUTPUTS),
    *(Op.SET_EXPERIMENT_TAG, Op.DELETE_EXPERIMENT_TAG, Op.SET_TRACE_TAG, Op.DELETE_TRACE_TAG),
    *(Op.LINK_TRACES, Op.LINK_PROMPTS, Op.EXPORT_TRACES, Op.CREATE_RUN),
]


def _signature(fields: bytes, client: str, key: bytes) -> bytes:
    # Each part has its length before it, so that no two pairs of fields and client read the same.
    sealed = len(fields).to_bytes(4) + fields + client.encode()
    return hashlib.blake2b(sealed, digest_size=_SEAL_BYTES, key=key).digest()


def _open(text: str) -> tuple[bytes, bytes] | None:
    """Return the fields of an id and its seal, None for what is no id at all."""
    if not _TEXT.fullmatch(text):
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]


def _milliseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
