# SPDX-License-Identifier: Apache-2.0
"""Jobs: the bridge's promise to deliver one write, its status documents and its id."""

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
    #: Grows by one with each write of the lane, and is the order of delivery.
    position: int
    accepted_at: dt.datetime
    client: str
    #: Bytes of the job in the store.
    size: int = 0
    trace_context: TraceContext = NO_TRACE_CONTEXT


class AcceptedJob(msgspec.Struct, frozen=True):
    """The job of one accepted write."""

    job_id: str
    lane: str
    run_id: str | None
    op: Op


class AcceptedJobs(msgspec.Struct, frozen=True):
    """The jobs of a batch of writes, in their order."""

    jobs: tuple[AcceptedJob, ...]


class JobStatus(enum.StrEnum):
    """The status of a job. A delivery attempt in progress is not a status: the job is pending until it is settled."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DISCARDED = "discarded"


class UpstreamAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Upstream's last answer to a job."""

    status: int
    error_code: str | None = None
    message: str | None = None
    request_id: str | None = None


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job is dead, or why its last attempt failed."""

    #: For a dead job ``refused``, ``expired``, ``poison`` or ``denied``; for a pending one, which will be retried,
    #: ``unavailable``, ``unknown`` or ``denied``.
    reason: str
    message: str


class LaneBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """The pending writes of one run: the answer of ``GET /v1/runs/{run_id}/backlog``."""

    lane: str
    run_id: str | None
    #: Number of writes.
    pending: int
    bytes: int
    oldest_accepted_at: dt.datetime | None = None
    #: Age of the oldest write, in seconds.
    lag: float = 0.0
    #: Whether a worker holds the lease of the lane.
    delivering: bool = False
    #: Failed attempts at the oldest write.
    attempts: int = 0
    #: None: the next attempt is due now.
    next_attempt_at: dt.datetime | None = None
    error: JobError | None = None


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a job: the answer of ``GET /v1/jobs/{id}``."""

    job_id: str
    status: JobStatus
    #: The run's id, or another lane (`schemas.lane`).
    lane: str
    #: None for a write to anything but a run, or to a run that its client has named.
    run_id: str | None
    op: Op
    accepted_at: dt.datetime
    settled_at: dt.datetime | None = None
    #: Delivery attempts. A lower bound: a worker that crashes does not record its last attempt.
    attempts: int = 0
    #: Only of a pending job after a failed attempt.
    next_attempt_at: dt.datetime | None = None
    error: JobError | None = None
    upstream: UpstreamAnswer | None = None


class Lookup(msgspec.Struct, frozen=True):
    """Body of ``POST /v1/jobs/lookup``."""

    job_ids: Annotated[list[str], msgspec.Meta(max_length=1000)]


class JobDocuments(msgspec.Struct, frozen=True):
    """The answer of ``POST /v1/jobs/lookup``, in the order of the ids; null for an unknown job."""

    jobs: list[JobDocument | None]


_Text = Annotated[str, msgspec.Meta(min_length=1)]
#: No id or key that the bridge stores is longer.
_SearchText = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of ``GET /v1/jobs``: the jobs of one run, of another lane, or of the client in all lanes."""

    run_id: _Text | None = None
    #: The name that the client gave to the run.
    run: _Text | None = None
    lane: _Text | None = None
    #: Delivered jobs cannot be listed: the store keeps no record of them, only their ids hold it.
    status: Literal["pending", "dead"] = "pending"
    #: The client's own jobs with this status, in all lanes.
    mine: Literal["pending", "dead"] | None = None
    #: Pending and dead jobs that a request brought, or that have an idempotency key.
    request_id: _SearchText | None = None
    idempotency_key: _SearchText | None = None
    #: The client that the idempotency key belongs to, for operators; else the client that asks.
    client: str | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JobPage(msgspec.Struct, frozen=True):
    """A page of a lane's jobs, oldest first. ``next`` is the cursor of the following page, None at the end."""

    jobs: list[JobDocument]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobId:
    """The id of a job, and its record: the text holds all fields and a seal, so the store keeps no key for a job.

    The seal is a keyed hash over the fields and the client. Only the client that received the id can use it; operators
    can read every id.
    """

    partition: int
    lane: str
    position: int
    op: Op
    accepted_at: dt.datetime

    def seal(self, client: str, key: bytes) -> str:
        """Return the text for this client: about 56 characters that are safe in a URL."""
        fields = self._fields()
        return base64.urlsafe_b64encode(fields + _signature(fields, client, key)).rstrip(b"=").decode()

    @classmethod
    def unseal(cls, text: str, client: str, key: bytes) -> "JobId | None":
        """Return the id if the bridge issued this exact text to this client, else None."""
        decoded = _decode(text)
        if not decoded:
            return None
        fields, signature = decoded
        if not hmac.compare_digest(signature, _signature(fields, client, key)):
            return None
        job_id = cls._from_fields(fields)
        # Unused bits of the last base64 character may differ; only one text per job is valid.
        return job_id if job_id.seal(client, key) == text else None

    @classmethod
    def read(cls, text: str) -> "JobId | None":
        """Return the id in a text, None if there is none. For operators, who may see all jobs.

        The seal is not checked, because that needs the name of the client. The bridge may never have issued the id.
        """
        decoded = _decode(text)
        if not decoded:
            return None
        fields, _ = decoded
        try:
            job_id = cls._from_fields(fields)
        except (ValueError, IndexError):
            return None
        return job_id if job_id._fields() == fields else None

    def _fields(self) -> bytes:
        is_run_id = bool(_RUN_ID.fullmatch(self.lane))
        return b"".join(
            (
                bytes((_HEX_LANE if is_run_id else _TEXT_LANE, self.partition, _OPS.index(self.op))),
                _milliseconds(self.accepted_at).to_bytes(_TIME_BYTES),
                self.position.to_bytes(_POSITION_BYTES),
                bytes.fromhex(self.lane) if is_run_id else self.lane.encode(),
            )
        )

    @classmethod
    def _from_fields(cls, fields: bytes) -> "JobId":
        lane_encoding, partition, op_number = fields[:_FLAG_BYTES]
        lane = fields[_LANE_BEGIN:]
        accepted_at_ms = int.from_bytes(fields[_FLAG_BYTES:_POSITION_BEGIN])
        return cls(
            partition=partition,
            lane=lane.hex() if lane_encoding == _HEX_LANE else lane.decode(),
            position=int.from_bytes(fields[_POSITION_BEGIN:_LANE_BEGIN]),
            op=_OPS[op_number],
            accepted_at=dt.datetime.fromtimestamp(accepted_at_ms / 1000, dt.UTC),
        )


_SEAL_BYTES = 10
# The fields of an id: one byte each for the lane's encoding, the partition and the operation; then the time of
# acceptance in milliseconds, the position, and the lane.
_FLAG_BYTES, _TIME_BYTES, _POSITION_BYTES = 3, 6, 7
_POSITION_BEGIN = _FLAG_BYTES + _TIME_BYTES
_LANE_BEGIN = _POSITION_BEGIN + _POSITION_BYTES
_HEX_LANE, _TEXT_LANE = 1, 2
_ID_TEXT = re.compile(r"[A-Za-z0-9_-]{35,2000}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
# Positions in this list are part of issued ids: append only.
_OPS = [
    *(Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG, Op.LOG_BATCH),
    *(Op.DELETE_TAG, Op.UPDATE_RUN, Op.LOG_INPUTS, Op.LOG_OUTPUTS),
    *(Op.SET_EXPERIMENT_TAG, Op.DELETE_EXPERIMENT_TAG, Op.SET_TRACE_TAG, Op.DELETE_TRACE_TAG),
    *(Op.LINK_TRACES, Op.LINK_PROMPTS, Op.EXPORT_TRACES, Op.CREATE_RUN),
]


def _signature(fields: bytes, client: str, key: bytes) -> bytes:
    # The length prefix makes the split between fields and client unambiguous.
    signed = len(fields).to_bytes(4) + fields + client.encode()
    return hashlib.blake2b(signed, digest_size=_SEAL_BYTES, key=key).digest()


def _decode(text: str) -> tuple[bytes, bytes] | None:
    """Return the fields and the seal of an id, None for text of another form."""
    if not _ID_TEXT.fullmatch(text):
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]


def _milliseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
