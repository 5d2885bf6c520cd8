# SPDX-License-Identifier: Apache-2.0
"""Keeps the order between the two lanes of a named run: its writes by name and its writes by id.

Each lane is in the order of acceptance. So a lane sends nothing while the other lane holds an older write.
"""

import datetime as dt
from dataclasses import dataclass

from bridge.outbox import Claim, Outbox, RunNames
from bridge.process.clock import Clock
from schemas.job import LaneBacklog
from schemas.lane import named_run

_MIN_WAIT, _MAX_WAIT = dt.timedelta(milliseconds=50), dt.timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Precedence:
    """How many of a claim's first jobs may be sent now."""

    sendable: int
    #: If none may: the lane that goes first, and how long to wait for it.
    other_lane: str = ""
    wait: dt.timedelta = _MIN_WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """Decides which lane of a run comes first."""

    outbox: Outbox
    names: RunNames
    clock: Clock

    def precedence(self, claim: Claim) -> Precedence:
        """Return how many of the first jobs were accepted before the oldest write in the run's other lane."""
        jobs = claim.jobs
        is_named = named_run(claim.lane) is not None
        other_lane = self.names.run_id(claim.lane) if is_named else claim.alias
        if other_lane is None:
            return Precedence(len(jobs))
        backlog = self.outbox.lane_backlog(other_lane)
        oldest = backlog.oldest_accepted_at
        if oldest is None:
            return Precedence(len(jobs))
        # Of two that were accepted within the same millisecond, the one by name goes first.
        later = (job.accepted_at > oldest or (job.accepted_at == oldest and not is_named) for job in jobs)
        earlier_count = next((index for index, is_later in enumerate(later) if is_later), len(jobs))
        return Precedence(earlier_count, other_lane, self._wait_for(backlog))

    def _wait_for(self, backlog: LaneBacklog) -> dt.timedelta:
        """Return the time until the next attempt at the other lane, within bounds."""
        next_attempt_at = backlog.next_attempt_at
        wait = next_attempt_at - self.clock.now() if next_attempt_at else _MIN_WAIT
        return min(max(wait, _MIN_WAIT), _MAX_WAIT)
