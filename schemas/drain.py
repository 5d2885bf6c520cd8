# SPDX-License-Identifier: Apache-2.0
"""Drains: bulk replays and discards of dead letters, which the workers carry out."""

import datetime as dt
import enum

import msgspec

from schemas.dead_letter import LetterFilter, Rate


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
    #: How many of them are done.
    done: int
    began_at: dt.datetime
    #: The client that ordered it. None: an older bridge began it and did not store the name.
    ordered_by: str | None = None
    finished_at: dt.datetime | None = None
    #: Letters that another request replayed or discarded before the drain came to them.
    skipped: int = 0


class DrainPage(msgspec.Struct, frozen=True, kw_only=True):
    """Drains, the newest first. Those that have ended are kept for a week."""

    drains: list[Drain]


class DrainChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``PATCH /v1/dead-letters/drains/<drain_id>``."""

    #: Letters per second. None: as fast as the workers can.
    rate: Rate | None
