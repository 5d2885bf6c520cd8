# SPDX-License-Identifier: Apache-2.0
"""Dead letters: the service that replays, discards and drains them, and its ports.

The ports have one implementation each, in `bridge.redis_store`, which is a layer above this one.
Every method of theirs raises ``StoreUnavailable`` when the store is unavailable.
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
    """Letters that match a filter, the oldest first, and the cursor of the next ones."""

    letter_ids: list[str]
    #: None if there are no more.
    cursor: str | None


class InvalidCursor(ValueError):
    """The cursor is not from a page of dead letters."""


class DeadLetters(Protocol):
    """Every job that was given up on, complete, until it is replayed or discarded."""

    def page(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterPage:
        """Return letters, the oldest first. A short or empty page may have a next one.

        Raises ``InvalidCursor``.
        """
        ...

    def find(self, wanted: LetterFilter, *, after: str | None, limit: int) -> LetterLookup:
        """Return the ids of letters, the oldest first."""
        ...

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters match the filter."""
        ...

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter, None if there is no such letter (any more)."""
        ...

    def replay(self, letter_id: str) -> Replayed | None:
        """Move a letter to the end of its lane, as a new write; None if there is no such letter (any more).

        Atomic: it is a letter or a pending write at any moment, and two concurrent replays make one write. Its job
        then has the status of the new write.
        """
        ...

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good; its job is then ``discarded``. Return whether there was one."""
        ...


class DrainLog(Protocol):
    """The drains, kept in the store so that any worker can continue them."""

    def begin(self, drain: Drain) -> None:
        """Store a new drain."""
        ...

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain, None if there is none; a finished one is kept for a week."""
        ...

    def due(self, *, guard: dt.timedelta) -> list[tuple[Drain, str | None, dt.datetime]]:
        """Return running drains, each with its cursor and when it was last advanced.

        Each is returned to one caller within ``guard``.
        """
        ...

    def advance(self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, at: dt.datetime) -> bool:
        """Store the progress of a drain; False if it was cancelled meanwhile."""
        ...

    def cancel(self, drain_id: str) -> bool:
        """Stop a running drain; return whether it ran."""
        ...


#: Letters that are read at a time.
_CHUNK_LETTERS = 100
#: A delayed drain catches up with this much of its rate at most.
_MAX_CATCH_UP = dt.timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterService:
    """Replays and discards dead letters, one by one or in drains."""

    letters: DeadLetters
    log: DrainLog
    dispatch: Dispatch
    observe: Observer
    clock: Clock
    #: How often workers continue the drains.
    period: dt.timedelta
    #: How long a letter is kept; None: until it is drained.
    retention: dt.timedelta | None

    def replay(self, letter_id: str) -> Replayed | None:
        """Move one letter back to its lane; None if there is no such letter."""
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
        """Begin a drain of the present letters that match the filter; ``total`` is their number."""
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
        """Continue all drains for a part of one period. Never raises."""
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
            found = self.letters.find(drain.filter, after=cursor, limit=min(_CHUNK_LETTERS, left))
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
        """Return how many letters may be drained now, and the time up to which the rate is then used.

        A fraction of a letter stays for the next time.
        """
        now = self.clock.now()
        if drain.rate is None:
            return drain.total + 1, now
        earned = drain.rate * (now - last).total_seconds()
        max_earned = max(1.0, drain.rate * _MAX_CATCH_UP.total_seconds())
        if earned > max_earned:
            return int(max_earned), now
        return int(earned), last + dt.timedelta(seconds=int(earned) / drain.rate)

    def _drain(self, action: DrainAction, letter_ids: list[str]) -> int:
        if action is DrainAction.DISCARD:
            return sum(self.letters.discard(letter_id) for letter_id in letter_ids)
        replayed = [replay for letter_id in letter_ids if (replay := self.letters.replay(letter_id))]
        for lane, client in {replay.lane: replay.client for replay in replayed}.items():
            self.dispatch.lane_due(lane, client)
        return len(replayed)

    def _expire(self) -> None:
        """Discard letters that are older than the retention."""
        if self.retention is None:
            return
        expired = LetterFilter(until=self.clock.now() - self.retention)
        discarded = self._drain(
            DrainAction.DISCARD, self.letters.find(expired, after=None, limit=_CHUNK_LETTERS).letter_ids
        )
        if discarded:
            self.observe(DeadLettersExpired(letters=discarded))
