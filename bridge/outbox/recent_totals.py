# SPDX-License-Identifier: Apache-2.0
"""Totals of dead letters, kept for a few seconds, so that several open consoles cost little more than one."""

import datetime as dt

from bridge.outbox.dead_letters import DeadLetters
from bridge.process.clock import Clock
from bridge.process.recent_values import RecentValues
from schemas.dead_letter import LetterFilter, LetterTotals

_MAX_AGE = dt.timedelta(seconds=2)
_MAX_FILTERS = 64


class RecentTotals:
    """The totals of each filter, at most two seconds old. Orders of drains do not use them: they need exact numbers."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
        self._recent = RecentValues[LetterTotals](clock, max_age=_MAX_AGE, max_count=_MAX_FILTERS)

    def of(self, wanted: LetterFilter) -> LetterTotals:
        """Return the totals of a filter."""
        return self._recent.get(wanted, lambda: self._letters.totals(wanted))
