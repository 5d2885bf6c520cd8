# SPDX-License-Identifier: Apache-2.0
"""Dead letters as people see them: which there are, what is in one, and an order to drain many."""

import datetime as dt
import enum
from typing import Annotated, Literal

import msgspec

from schemas.job import UpstreamAnswer
from schemas.write import Op

#: With its time zone: what is meant must not depend on where the server stands.
_Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters are meant; without any field, all."""

    #: ``refused``, ``expired``, ``poison`` or ``denied``.
    reason: Literal["refused", "expired", "poison", "denied"] | None = None
    run_id: str | None = None
    #: What orders the write, where that is not a run's id.
    lane: str | None = None
    client: str | None = None
    #: Buried at this time or later.
    since: _Moment | None = None
    #: Buried before this time.
    until: _Moment | None = None


class LetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in a list."""

    letter_id: str
    #: The job that it was.
    job_id: str
    lane: str
    run_id: str | None
    op: Op
    client: str
    #: The request that it was accepted from; null for one of before this was stored.
    request_id: str | None
    reason: str
    message: str
    #: Of upstream's answer, if it answered.
    status: int | None
    accepted_at: dt.datetime
    buried_at: dt.datetime


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some dead letters, the oldest first; ``next`` is the cursor of the page that follows, None at the end."""

    letters: list[LetterSummary]
    next: str | None


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One call that carried the write in vain."""

    at: dt.datetime
    #: How many writes the call carries.
    writes: int
    #: ``refused``, ``denied``, ``unavailable`` or ``unknown``; the last attempt has the letter's own reason.
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None


class WriteDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A write as it is sent to upstream when it goes alone."""

    path: str
    #: JSON, as it is sent; null where the body is none.
    body: msgspec.Raw
    workspace: str | None = None
    #: What is sent, in base64, where it is not JSON.
    base64: bytes | None = None


class LetterDocument(LetterSummary, frozen=True, kw_only=True):
    """A dead letter, whole."""

    write: WriteDocument
    #: How many attempts there were; the latest fifty are listed.
    attempt_count: int
    attempts: list[AttemptDocument]
    upstream: UpstreamAnswer | None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter was taken back into its lane; this is its new job."""

    letter_id: str
    job_id: str
    lane: str
    run_id: str | None
    client: str


class DrainAction(enum.StrEnum):
    """What happens to the letters of a drain."""

    REPLAY = "replay"
    DISCARD = "discard"


class DrainState(enum.StrEnum):
    """How a drain stands."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """An order to replay or discard all letters of a filter, and how far it is. A restart does not stop it."""

    drain_id: str
    action: DrainAction
    #: Only letters that were dead when it began: what dies again is not taken twice.
    filter: LetterFilter
    #: Letters a second; None for as fast as the workers can.
    rate: float | None
    state: DrainState
    #: How many letters the filter meant when it began.
    total: int
    #: How many of them have been drained; some may have been drained by others.
    done: int
    began_at: dt.datetime


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/replay``."""

    filter: LetterFilter = LetterFilter()
    #: Letters a second; absent: as fast as the workers can.
    rate: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    #: Only count.
    dry_run: bool = False


class DiscardOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/discard``."""

    filter: LetterFilter = LetterFilter()
    #: How many letters the caller is sure to discard; another number is refused.
    count: int | None = None
    dry_run: bool = False


class LetterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters a filter means."""

    count: int
