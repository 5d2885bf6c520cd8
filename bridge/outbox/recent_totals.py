# SPDX-License-Identifier: Apache-2.0
"""Totals of dead letters, kept for a few seconds, so that several open consoles cost little more than one."""

import datetime as dt
from collections import OrderedDict

from bridge.outbox.dead_letters import DeadLetters
from bridge.process.clock import Clock
from schemas.dead_letter import LetterFilter, LetterTotals

_MAX_AGE = dt.timedelta(seconds=2)
_MAX_CACHED = 64


class RecentTotals:
    """The totals of each filter, at most two seconds old. Orders of drains do not use them: they need exact numbers."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
        self._clock = clock
        #: When the totals were counted, and the totals; those that were added first are removed first.
        self._cached: OrderedDict[LetterFilter, tuple[dt.timedelta, LetterTotals]] = OrderedDict()

    def of(self, wanted: LetterFilter) -> LetterTotals:
        """Return the totals of a filter."""
        # One look-up: another thread may remove the entry at any time.
        if cached := self._cached.get(wanted):
            counted_at, totals = cached
            if self._clock.monotonic() - counted_at < _MAX_AGE:
                return totals
        totals = self._letters.totals(wanted)
        self._cached[wanted] = (self._clock.monotonic(), totals)
        while len(self._cached) > _MAX_CACHED:
            self._cached.popitem(last=False)
        return totals
