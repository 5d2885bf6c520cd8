# SPDX-License-Identifier: Apache-2.0
"""The ports to the dead letters and to the orders that drain many of them.

Every method raises ``StoreUnavailable`` when the store can't do its part.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from schemas.dead_letter import (
    Drain,
    DrainState,
    LetterDocument,
    LetterFilter,
    LetterPage,
    Replayed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Letters that a filter means, in the order in which they were buried, and where to look on."""

    letter_ids: list[str]
    #: Where the next search begins; None if there is nothing more.
    cursor: str | None


class InvalidCursor(ValueError):
    """The cursor is not one that a page has given."""


class DeadLetters(Protocol):
    """Every job that was given up on, whole, until somebody replays or discards it."""

    def page(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterPage:
        """Return letters, the oldest first. A page may be short, even empty, and yet have a next one.

        Raises ``InvalidCursor``.
        """
        ...

    def find(self, wanted: LetterFilter, *, after: str | None, limit: int) -> Found:
        """Return the ids of letters, the oldest first."""
        ...

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters the filter means."""
        ...

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter, None if there is no such letter (any more)."""
        ...

    def replay(self, letter_id: str) -> Replayed | None:
        """Take a letter back to the end of its lane, as a new write; None if there is no such letter (any more).

        Atomic: the letter is a letter or a pending write at any moment, and two who replay it make one write. Its job
        goes on to tell what becomes of it.
        """
        ...

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good; its job says so. Return whether there was one."""
        ...


class DrainLog(Protocol):
    """The orders to drain, kept in the store so that any worker can go on with them."""

    def begin(self, drain: Drain) -> None:
        """Keep a new drain."""
        ...

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain, None if there is none; a finished one is kept for a week."""
        ...

    def due(self, *, guard: dt.timedelta) -> list[tuple[Drain, str | None, dt.datetime]]:
        """Return drains that run, each with its cursor and when it was last advanced.

        Each is returned to one caller within ``guard``.
        """
        ...

    def advance(self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, at: dt.datetime) -> bool:
        """Note how far a drain is; False if it was cancelled meanwhile."""
        ...

    def cancel(self, drain_id: str) -> bool:
        """Stop a drain that runs; return whether it did."""
        ...
