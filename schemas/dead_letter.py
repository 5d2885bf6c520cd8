# SPDX-License-Identifier: Apache-2.0
"""The documents of ``/v1/dead-letters``: filter, list, dead letter, replay and discard."""

import datetime as dt
import enum
from typing import Annotated, Literal

import msgspec

from schemas.job import UpstreamAnswer
from schemas.write import Op

#: With a time zone: the meaning must not depend on the zone of the server.
_Timestamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Selects dead letters by their fields; without any field, all."""

    reason: Literal["refused", "expired", "poison", "denied"] | None = None
    run_id: str | None = None
    #: The lane of a write that is not about a run (`schemas.lane`).
    lane: str | None = None
    client: str | None = None
    #: Dead-lettered at this time or later.
    since: _Timestamp | None = None
    #: Dead-lettered before this time.
    until: _Timestamp | None = None


class LetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in a list."""

    letter_id: str
    #: The job that failed.
    job_id: str
    lane: str
    run_id: str | None
    op: Op
    client: str
    #: The request that brought the write. None: an older bridge accepted it and did not store the id.
    request_id: str | None
    reason: str
    message: str
    #: The HTTP status of upstream's last answer. None: it did not answer.
    status: int | None
    accepted_at: dt.datetime
    buried_at: dt.datetime


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters, oldest first. ``next`` is the cursor of the following page, None at the end."""

    letters: list[LetterSummary]
    next: str | None


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One failed delivery attempt."""

    at: dt.datetime
    #: How many writes the call carried.
    writes: int
    #: ``refused``, ``denied``, ``unavailable`` or ``unknown``; the last attempt has the reason of the dead letter.
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None


class WriteDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A write as the call that delivers it by itself."""

    path: str
    #: The JSON body; null where the body is not JSON.
    body: msgspec.Raw
    workspace: str | None = None
    #: The body, where it is not JSON.
    base64: bytes | None = None


class LetterDocument(LetterSummary, frozen=True, kw_only=True):
    """A dead letter with its write, its attempts and upstream's answer."""

    write: WriteDocument
    #: All attempts; ``attempts`` lists the latest fifty.
    attempt_count: int
    attempts: list[AttemptDocument]
    upstream: UpstreamAnswer | None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The new job of a replayed dead letter."""

    letter_id: str
    job_id: str
    lane: str
    run_id: str | None
    client: str


class DrainAction(enum.StrEnum):
    """What a drain does with each dead letter."""

    REPLAY = "replay"
    DISCARD = "discard"


class DrainState(enum.StrEnum):
    """The state of a drain."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk replay or discard, and its progress. The workers run it; a restart does not stop it."""

    drain_id: str
    action: DrainAction
    #: Selects only letters from before the drain began, so a replayed write that fails again is not drained twice.
    filter: LetterFilter
    #: Letters per second. None: as fast as the workers can.
    rate: float | None
    state: DrainState
    #: How many letters the filter selected at the beginning.
    total: int
    #: How many of them are done, including those that another request replayed or discarded.
    done: int
    began_at: dt.datetime


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/replay``."""

    filter: LetterFilter = LetterFilter()
    #: Letters per second. None: as fast as the workers can.
    rate: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    #: Count the letters and change nothing.
    dry_run: bool = False


class DiscardOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/discard``."""

    filter: LetterFilter = LetterFilter()
    #: The number of letters that the client confirms. Any other number is refused.
    count: int | None = None
    dry_run: bool = False


class LetterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters a filter selects."""

    count: int
