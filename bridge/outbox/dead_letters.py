# SPDX-License-Identifier: Apache-2.0
"""Dead letters: the service that replays, discards and drains them, and its ports.

The ports have one implementation each, in `bridge.redis_store`, which is a layer above this one.
Every method of theirs raises ``StoreUnavailable`` when the store is unavailable.
"""

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import DeadLettersDrained, DeadLettersExpired, Observer, StoreError
from bridge.process.clock import Clock
from schemas.dead_letter import (
    LetterDocument,
    LetterFilter,
    LetterOrder,
    LetterPage,
    LetterSummary,
    LetterTotals,
    Replayed,
)
from schemas.drain import Drain, DrainAction, DrainState
from schemas.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLookup:
    """Letters that match a filter, in order, and the cursor of the next ones."""

    letter_ids: list[str]
    #: None if there are no more.
    cursor: str | None


class InvalidCursor(ValueError):
    """The cursor is not from a page of dead letters."""


class DeadLetters(Protocol):
    """Every job that was given up on, complete, until it is replayed or discarded."""

    def page(
        self, wanted: LetterFilter, *, after: str | None, limit: int, order: LetterOrder = LetterOrder.OLDEST
    ) -> LetterPage:
        """Return up to ``limit`` letters behind the cursor ``after``. A short or empty page may have a next one.

        Raises ``InvalidCursor``.
        """
        ...

    def find(
        self, wanted: LetterFilter, *, after: str | None, limit: int, order: LetterOrder = LetterOrder.OLDEST
    ) -> LetterLookup:
        """Return the ids of what `page` returns."""
        ...

    def count(self, wanted: LetterFilter) -> int:
        """Return how many letters match the filter."""
        ...

    def totals(self, wanted: LetterFilter) -> LetterTotals:
        """Return how many letters match the filter, in all, by reason and by client, and groups of the newest."""
        ...

    def summaries(self, letter_ids: Sequence[str]) -> list[LetterSummary | None]:
        """Return these letters as a list shows them, in their order; None if there is no such letter (any more)."""
        ...

    def letter(self, letter_id: str) -> LetterDocument | None:
        """Return a letter, None if there is no such letter (any more)."""
        ...

    def job(self, letter_id: str) -> Job | None:
        """Return the job that was given up on, None if there is no such letter (any more)."""
        ...

    def later_writes(self, job: Job) -> int:
        """Return how many writes the lane of a letter has accepted after it, as far as that is known."""
        ...

    def replay(self, letter_id: str) -> Replayed | None:
        """Move a letter to the end of its lane, as a new write; None if there is no such letter (any more).

        Atomic: at any moment there is either the letter or the pending write, and two concurrent replays make one
        write. The letter's job then has the status of the new write.
        """
        ...

    def discard(self, letter_id: str) -> bool:
        """Remove a letter for good; its job is then ``discarded``. Return whether there was one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDrain:
    """A running drain, to be continued by one worker."""

    drain: Drain
    #: The cursor of the next letters; None at the beginning.
    cursor: str | None
    #: The time up to which the rate of the drain is used.
    advanced_at: dt.datetime


class DrainLog(Protocol):
    """The drains, kept in the store so that any worker can continue them."""

    def begin(self, drain: Drain) -> None:
        """Store a new drain."""
        ...

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain, None if there is none; a finished one is kept for a week."""
        ...

    def drains(self, *, state: DrainState | None, limit: int) -> list[Drain]:
        """Return drains in this state, or all; the newest first."""
        ...

    def due(self, *, guard: dt.timedelta) -> list[DueDrain]:
        """Return running drains, each to one caller within ``guard``."""
        ...

    def advance(
        self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, skipped: int, at: dt.datetime
    ) -> Drain | None:
        """Store the progress of a drain, and return it with its present rate; None if it was cancelled meanwhile."""
        ...

    def change_rate(self, drain_id: str, rate: float | None) -> Drain | None:
        """Change the rate of a running drain, and return it; None if it does not run."""
        ...

    def cancel(self, drain_id: str) -> bool:
        """Stop a running drain; return whether it ran."""
        ...


#: Letters that are read at a time; a drain begins with few, as a slow store may need long for them.
_CHUNK_LETTERS, _FIRST_CHUNK_LETTERS = 100, 10
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

    def replay_each(self, letter_ids: Sequence[str]) -> list[Replayed | None]:
        """Move these letters back to their lanes, in their order; None for each id without a letter."""
        results = [self.letters.replay(letter_id) for letter_id in letter_ids]
        replayed = [each for each in results if each]
        if replayed:
            self.observe(DeadLettersDrained(action=DrainAction.REPLAY, letters=len(replayed)))
            self._dispatch(replayed)
        return results

    def discard_each(self, letter_ids: Sequence[str]) -> list[bool]:
        """Remove these letters for good; return for each id whether there was a letter."""
        results = [self.letters.discard(letter_id) for letter_id in letter_ids]
        if discarded := sum(results):
            self.observe(DeadLettersDrained(action=DrainAction.DISCARD, letters=discarded))
        return results

    def order(
        self,
        action: DrainAction,
        wanted: LetterFilter,
        *,
        rate: float | None,
        total: int,
        ordered_by: str | None = None,
    ) -> Drain:
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
            ordered_by=ordered_by,
        )
        self.log.begin(drain)
        return drain

    def tick(self) -> None:
        """Continue all drains for a part of one period. Never raises."""
        try:
            self._expire()
            for due in self.log.due(guard=self.period):
                self._advance(due)
        except StoreUnavailable as error:
            self.observe(StoreError(operation="draining", reason=str(error)))

    def _advance(self, due: DueDrain) -> None:
        """Replay or discard as many letters as the rate allows, for half a period at most.

        After a whole period, another worker would continue the drain, and skip what this one has just drained.
        """
        end = self.clock.monotonic() + self.period / 2
        chunk = _FIRST_CHUNK_LETTERS
        drain, cursor = due.drain, due.cursor
        done, skipped = drain.done, drain.skipped
        allowed, rate_used_until = self._allowance(drain, due.advanced_at)
        current: Drain | None = drain
        # The drain stops for this period if it was cancelled or its rate was changed: a new rate has a new allowance.
        while allowed and current and current.state is DrainState.RUNNING and current.rate == drain.rate:
            began_at = self.clock.monotonic()
            if began_at >= end:
                break
            found = self.letters.find(drain.filter, after=cursor, limit=min(chunk, _CHUNK_LETTERS, allowed))
            drained = self._drain(drain.action, found.letter_ids)
            done, allowed, cursor = done + drained, allowed - drained, found.cursor or cursor
            skipped += len(found.letter_ids) - drained
            state = DrainState.RUNNING if found.cursor else DrainState.FINISHED
            current = self.log.advance(
                drain.drain_id, state=state, cursor=cursor, done=done, skipped=skipped, at=rate_used_until
            )
            is_fast = self.clock.monotonic() - began_at < self.period / 8
            chunk = min(2 * chunk, _CHUNK_LETTERS) if is_fast else max(1, chunk // 2)
        if done > drain.done:
            letters = done - drain.done
            self.observe(DeadLettersDrained(action=drain.action, letters=letters, drain_id=drain.drain_id))

    def _allowance(self, drain: Drain, advanced_at: dt.datetime) -> tuple[int, dt.datetime]:
        """Return how many letters may be drained now, and the time up to which the rate is then used.

        A fraction of a letter stays for the next time.
        """
        now = self.clock.now()
        if drain.rate is None:
            return drain.total + 1, now
        earned = drain.rate * (now - advanced_at).total_seconds()
        max_earned = max(1.0, drain.rate * _MAX_CATCH_UP.total_seconds())
        if earned > max_earned:
            return int(max_earned), now
        return int(earned), advanced_at + dt.timedelta(seconds=int(earned) / drain.rate)

    def _drain(self, action: DrainAction, letter_ids: list[str]) -> int:
        """Replay or discard these letters; return how many there were."""
        if action is DrainAction.DISCARD:
            return sum(self.letters.discard(letter_id) for letter_id in letter_ids)
        replayed = [replay for letter_id in letter_ids if (replay := self.letters.replay(letter_id))]
        self._dispatch(replayed)
        return len(replayed)

    def _dispatch(self, replayed: Sequence[Replayed]) -> None:
        for lane, client in {replay.lane: replay.client for replay in replayed}.items():
            self.dispatch.lane_due(lane, client)

    def _expire(self) -> None:
        """Discard letters that are older than the retention."""
        if self.retention is None:
            return
        expired = LetterFilter(until=self.clock.now() - self.retention)
        found = self.letters.find(expired, after=None, limit=_CHUNK_LETTERS)
        discarded = self._drain(DrainAction.DISCARD, found.letter_ids)
        if discarded:
            self.observe(DeadLettersExpired(letters=discarded))
