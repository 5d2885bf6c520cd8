# SPDX-License-Identifier: Apache-2.0
"""The ports to the dead letters and to the orders that drain many of them.

Every method raises ``StoreUnavailable`` when the store can't do its part.
"""

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Protocol

import msgspec

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import DeadLettersDrained, DeadLettersExpired, Observer, StoreError
from bridge.process.clock import Clock
from schemas.dead_letter import Drain, DrainAction, DrainState, LetterDocument, LetterFilter, LetterPage, Replayed


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLookup:
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

    def find(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterLookup:
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


_CHUNK = 100
#: A drain that was held up makes up for no more than this.
_MOST_CATCHING_UP = dt.timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterService:
    """The way out for dead letters."""

    letters: DeadLetters
    log: DrainLog
    dispatch: Dispatch
    observe: Observer
    clock: Clock
    #: How often workers go on with what was ordered.
    period: dt.timedelta
    #: How long a letter is kept; None: until somebody drains it.
    retention: dt.timedelta | None

    def replay(self, letter_id: str) -> Replayed | None:
        """Take one letter back into its lane; None if there is no such letter."""
        replayed = self.letters.replay(letter_id)
        if replayed:
            self.observe(DeadLettersDrained(action=DrainAction.REPLAY, letters=1))
            self.dispatch.lane_due(replayed.lane, replayed.client)
        return replayed

    def discard(self, letter_id: str) -> bool:
        """Remove one letter for good; return whether there was one."""
        discarded = self.letters.discard(letter_id)
        if discarded:
            self.observe(DeadLettersDrained(action=DrainAction.DISCARD, letters=1))
        return discarded

    def order(self, action: DrainAction, wanted: LetterFilter, *, rate: float | None, total: int) -> Drain:
        """Have all letters drained that are dead now and that the filter means; ``total`` says how many those are."""
        now = self.clock.now()
        until = min(wanted.until, now) if wanted.until else now
        drain = Drain(
            drain_id=secrets.token_hex(8),
            action=action,
            filter=msgspec.structs.replace(wanted, until=until),
            rate=rate,
            state=DrainState.RUNNING,
            total=total,
            done=0,
            began_at=now,
        )
        self.log.begin(drain)
        return drain

    def tick(self) -> None:
        """Go on with all orders for a part of one period. Never raises."""
        try:
            self._expire()
            for drain, cursor, last in self.log.due(guard=self.period):
                self._advance(drain, cursor, last)
        except StoreUnavailable as error:
            self.observe(StoreError(operation="draining", reason=str(error)))

    def _advance(self, drain: Drain, cursor: str | None, last: dt.datetime) -> None:
        end = self.clock.monotonic() + self.period / 2
        left, at = self._allowance(drain, last)
        done, state = drain.done, DrainState.RUNNING
        while left and state is DrainState.RUNNING and self.clock.monotonic() < end:
            found = self.letters.find(drain.filter, after=cursor, limit=min(_CHUNK, left))
            drained = self._drain(drain.action, found.letter_ids)
            done, left = done + drained, left - drained
            cursor = found.cursor or cursor
            state = DrainState.RUNNING if found.cursor else DrainState.FINISHED
            if not self.log.advance(drain.drain_id, state=state, cursor=cursor, done=done, at=at):
                break
        if done > drain.done:
            letters = done - drain.done
            self.observe(DeadLettersDrained(action=drain.action, letters=letters, drain_id=drain.drain_id))

    def _allowance(self, drain: Drain, last: dt.datetime) -> tuple[int, dt.datetime]:
        """Return how many letters may be drained now, and until when those count: what is left of the rate adds up."""
        now = self.clock.now()
        if drain.rate is None:
            return drain.total + 1, now
        earned = drain.rate * (now - last).total_seconds()
        most = max(1.0, drain.rate * _MOST_CATCHING_UP.total_seconds())
        if earned > most:
            return int(most), now
        return int(earned), last + dt.timedelta(seconds=int(earned) / drain.rate)

    def _drain(self, action: DrainAction, letter_ids: list[str]) -> int:
        if action is DrainAction.DISCARD:
            return sum(self.letters.discard(letter_id) for letter_id in letter_ids)
        replayed = [found for letter_id in letter_ids if (found := self.letters.replay(letter_id))]
        for lane, client in {each.lane: each.client for each in replayed}.items():
            self.dispatch.lane_due(lane, client)
        return len(replayed)

    def _expire(self) -> None:
        """Discard letters that are older than the retention, and say so."""
        if self.retention is None:
            return
        expired = LetterFilter(until=self.clock.now() - self.retention)
        discarded = self._drain(DrainAction.DISCARD, self.letters.find(expired, after=None, limit=_CHUNK).letter_ids)
        if discarded:
            self.observe(DeadLettersExpired(letters=discarded))
