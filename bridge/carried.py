# SPDX-License-Identifier: Apache-2.0
"""What a call to upstream carries, as far as whoever follows it wants to know."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.job import Job
from schemas.trail import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The jobs of one call, and which attempt it is."""

    jobs: Sequence[Job] = field(repr=False)
    attempt: int
    #: Upstream has denied the first of them before.
    denied: bool = False

    @property
    def lane(self) -> str | None:
        """The lane of all of them."""
        return self.jobs[0].lane if self.jobs else None

    @property
    def client(self) -> str | None:
        """Whose the first is."""
        return self.jobs[0].client if self.jobs else None

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the first."""
        return self.jobs[0].trail.request_id if self.jobs else None

    @property
    def trace(self) -> Trace | None:
        """The place in a trace that all of them have; None if they have none, or different ones."""
        first = self.jobs[0].trail.trace if self.jobs else None
        return first if first and all(job.trail.trace == first for job in self.jobs) else None


#: What a call carries that only asks, for the bridge itself.
NOTHING = Carried(jobs=(), attempt=1)
