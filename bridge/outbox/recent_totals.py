# SPDX-License-Identifier: Apache-2.0
"""Totals of dead letters, kept for a few seconds, so that several open consoles cost little more than one."""

import datetime as dt
from collections import OrderedDict

from bridge.outbox.dead_letters import DeadLetters
from bridge.process.clock import Clock
from schemas.dead_letter import LetterFilter, LetterTotals

_MAX_AGE = dt.timedelta(seconds=2)
_MAX_KEPT = 64


class RecentTotals:
    """The totals of each filter, at most two seconds old. An order counts for itself."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
        self._clock = clock
        self._kept: OrderedDict[LetterFilter, tuple[dt.timedelta, LetterTotals]] = OrderedDict()

    def of(self, wanted: LetterFilter) -> LetterTotals:
        """Return the totals of a filter."""
        now = self._clock.monotonic()
        if (kept := self._kept.get(wanted)) and now - kept[0] < _MAX_AGE:
            return kept[1]
        totals = self._letters.totals(wanted)
        self._kept[wanted] = (self._clock.monotonic(), totals)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return totals
