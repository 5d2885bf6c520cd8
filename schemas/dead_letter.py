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
    op: Op | None = None
    #: MLflow's code in upstream's last answer.
    error_code: str | None = None

    @property
    def is_about_cause(self) -> bool:
        """Whether the letters must be read to apply the filter: the index does not have these fields."""
        return self.op is not None or self.error_code is not None


class LetterOrder(enum.StrEnum):
    """The order of a list of dead letters."""

    OLDEST = "oldest"
    NEWEST = "newest"


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
    #: MLflow's code in that answer.
    error_code: str | None
    accepted_at: dt.datetime
    buried_at: dt.datetime


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters. ``next`` is the cursor of the following page, None at the end."""

    letters: list[LetterSummary]
    next: str | None


class LetterGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one cause: an equal reason, operation and error code, and messages that differ in values only."""

    reason: str
    op: Op
    error_code: str | None
    #: The message with a ``…`` in place of ids, numbers and quoted text.
    message: str
    count: int
    first: dt.datetime
    last: dt.datetime
    #: The id of the newest letter of the group.
    sample: str


class LetterTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters that a filter selects: their exact number, by reason and client, and groups by cause."""

    count: int
    by_reason: dict[str, int]
    by_client: dict[str, int]
    #: The largest first.
    groups: list[LetterGroup]
    #: Whether the groups are those of the newest letters only.
    sampled: bool


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
    #: The exact text of the JSON body: a client's JSON parser may round its 64-bit integers.
    body_text: str | None = None


class LetterTrail(msgspec.Struct, frozen=True, kw_only=True):
    """The ids under which a write is found: of its request, its job and upstream's last answer."""

    request_id: str | None
    job_id: str
    upstream_request_id: str | None


class LetterDocument(LetterSummary, frozen=True, kw_only=True):
    """A dead letter with its write, its attempts and upstream's answer."""

    write: WriteDocument
    #: All attempts; ``attempts`` lists the latest fifty.
    attempt_count: int
    attempts: list[AttemptDocument]
    upstream: UpstreamAnswer | None
    trail: LetterTrail


class Overwrite(msgspec.Struct, frozen=True, kw_only=True):
    """A stored value that differs from the one in a dead letter."""

    #: A ``param`` is never overwritten: MLflow refuses the replay.
    kind: Literal["tag", "param", "status", "end_time", "run_name"]
    key: str
    #: None: it is not set.
    stored: str | None
    #: None: the letter deletes it.
    letter: str | None


class Conflicts(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of a dead letter meets: later writes of its lane, and values that differ."""

    #: Writes that the lane has accepted after this one.
    later_writes: int
    overwrites: list[Overwrite]
    #: Whether the values were compared; ``why`` says why not.
    checked: bool
    why: str | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The new job of a replayed dead letter."""

    letter_id: str
    job_id: str
    lane: str
    run_id: str | None
    client: str


_LetterIds = Annotated[list[str], msgspec.Meta(max_length=1000)]
#: Letters per second.
Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/replay``."""

    filter: LetterFilter = LetterFilter()
    #: These letters, in place of those of a filter. They are replayed at once.
    letter_ids: _LetterIds | None = None
    #: Letters per second. None: as fast as the workers can.
    rate: Rate | None = None
    #: The number of letters that the client expects. Any other number is refused.
    count: int | None = None
    #: Count the letters and change nothing.
    dry_run: bool = False


class DiscardOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/dead-letters/discard``."""

    filter: LetterFilter = LetterFilter()
    #: These letters, in place of those of a filter. They are discarded at once.
    letter_ids: _LetterIds | None = None
    #: The number of letters that the client confirms. Any other number is refused.
    count: int | None = None
    dry_run: bool = False


class LetterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters a filter selects."""

    count: int


class ReplayResults(msgspec.Struct, frozen=True, kw_only=True):
    """The new job of each letter, in the order of the ids; null where there was no such letter (any more)."""

    results: list[Replayed | None]


class DiscardResults(msgspec.Struct, frozen=True, kw_only=True):
    """Whether each letter was discarded, in the order of the ids; false where there was none (any more)."""

    results: list[bool]
