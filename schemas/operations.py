# SPDX-License-Identifier: Apache-2.0
"""The documents of operators' pages: overview, series, lanes and workers. They state moments, never ages."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from schemas.job import LaneBacklog
from schemas.upstream import GateDocument

Status = Literal["delivering", "idle", "degraded", "paused", "unavailable"]
CauseCode = Literal[
    "breaker-open",
    "throttled",
    "paused",
    "no-workers",
    "denied",
    "store-full",
    "store-durability",
    "stalled",
    "no-room",
    "dead-letters",
]
LaneState = Literal["waiting", "delivering", "failing", "denied"]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why writes are not delivered as they should be, in sentences."""

    code: CauseCode
    #: Null where it is not known.
    since: dt.datetime | None
    text: str
    #: What happens next by itself; null if nothing does.
    next: str | None
    #: The section of the runbook.
    runbook: str


class BacklogSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is pending in all."""

    lanes: int
    #: Null where it is not known: a process of an older release has accepted some of them.
    writes: int | None
    pending_bytes: int
    dead_bytes: int
    oldest_accepted_at: dt.datetime | None
    #: Since when the longest-due lane has been due; null if none is.
    oldest_due: dt.datetime | None
    #: When the oldest write becomes a dead letter, unless it is delivered.
    horizon_at: dt.datetime | None


class DeadLetterTotals(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters there are."""

    count: int
    last_hour: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What happened a second, over the last ``window`` seconds."""

    window: int
    accepted: float
    delivered: float
    buried: float
    refused: float
    calls: float


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from acceptance to delivery, of the last calls; null if there was none."""

    p50: float | None
    p95: float | None


class WorkerTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The worker processes that have reported within the last ten seconds."""

    alive: int
    #: Lanes that are being delivered.
    delivering: int
    versions: tuple[str, ...]


class StoreSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The store: how durable it is, and how full."""

    durability: str
    #: Bytes of pending writes and dead letters, and their limit (BRIDGE_MAX_STORE).
    used: int
    cap: int | None
    faults: tuple[str, ...]


class DrainProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A drain of dead letters that is running."""

    drain_id: str
    action: str
    done: int
    total: int
    rate: float | None
    ordered_by: str | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the whole bridge: the answer of ``GET /v1/overview``."""

    status: Status
    why: tuple[Cause, ...]
    backlog: BacklogSummary
    dead_letters: DeadLetterTotals
    rates: Rates
    lag: Lag
    gate: GateDocument
    workers: WorkerTotals
    store: StoreSummary
    drains: tuple[DrainProgress, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The values of one metric, a value per step. Null: no process has measured."""

    kind: Literal["counter", "gauge", "histogram"]
    values: list[float | None] | None = None
    #: Of a histogram, in place of ``values``.
    p50: list[float | None] | None = None
    p95: list[float | None] | None = None


class SeriesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What happened minute by minute: the answer of ``GET /v1/series``."""

    #: Seconds between two values.
    step: int
    #: The begin of the first step.
    begin: dt.datetime
    #: The last step is not over.
    partial: bool
    series: dict[str, Series]


class SeriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of ``GET /v1/series``."""

    #: Separated by commas; all, unless given.
    names: str | None = None
    minutes: Annotated[int, msgspec.Meta(ge=1, le=180)] = 60


class LaneDocument(LaneBacklog, frozen=True, kw_only=True):
    """One lane: what is pending in it, of which client, and whether it gets on."""

    #: It is delivered on behalf of this client.
    client: str | None
    #: The name that the client has given to the run.
    run_name: str | None
    #: Null where there are too many dead letters to count those of one lane.
    dead_letters: int | None
    state: LaneState


class LaneQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of ``GET /v1/lanes``."""

    state: LaneState | None = None
    client: str | None = None
    order: Literal["oldest", "newest"] = "oldest"
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class LanePage(msgspec.Struct, frozen=True):
    """A page of lanes with pending writes. ``next`` is the cursor of the following page, null at the end."""

    lanes: list[LaneDocument]
    next: str | None


class WorkerError(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure of a worker process itself."""

    at: dt.datetime
    text: str


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process. What an older release does not report is null."""

    name: str
    host: str
    pid: int | None
    version: str | None
    started_at: dt.datetime | None
    reported_at: dt.datetime
    concurrency: int | None
    #: Lanes that it is delivering.
    delivering: int | None
    last_error: WorkerError | None


class WorkerList(msgspec.Struct, frozen=True):
    """The worker processes that have reported within the last hour."""

    workers: list[WorkerDocument]
