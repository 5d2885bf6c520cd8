# SPDX-License-Identifier: Apache-2.0
"""The port for flow control of one upstream, shared by all workers: a rate limiter and a circuit breaker.

The token bucket spaces calls to upstream's limit. It shrinks when upstream throttles all the same, and recovers slowly.
The breaker opens after several failures in a row, or at once if the bridge's own credentials are rejected. After a
while it permits one probe call, and closes if that one succeeds. Meanwhile writes wait in their lanes.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from bridge.upstream import Outcome


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may be sent after this wait. Its place in the order of calls is reserved."""

    wait: dt.timedelta


@dataclass(frozen=True, slots=True)
class Withheld:
    """No call may be sent. The next attempt makes sense after this time."""

    after: dt.timedelta
    reason: str


Decision = Permit | Withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlState:
    """The state of the breaker and the bucket, for status pages and metrics."""

    #: ``closed`` (calls are sent), ``open`` (none is sent) or ``half-open`` (one probe is sent).
    breaker: str
    reason: str | None
    #: Since when the breaker is not closed; None where it is, or where an older release has opened it.
    since: dt.datetime | None = None
    opens_again_at: dt.datetime | None
    #: The present limit in calls a second; None if there is none.
    rate: float | None
    #: Calls that may be sent at once; negative if calls wait for their place. None if there is no limit.
    bucket: float | None = None
    #: The last successful write call of a worker.
    delivered_at: dt.datetime | None = None


class FlowControl(Protocol):
    """A rate limiter and circuit breaker. Every method raises ``StoreUnavailable``."""

    def acquire(self, *, denied: bool = False) -> Decision:
        """Request a permit for one call. A permit must be followed by ``record``.

        ``denied``: upstream has denied the same call before. Such calls have a small rate limit of their own. None of
        them becomes the breaker's probe, unless no other call requests a permit for a while.
        """
        ...

    def record(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:
        """Record the outcome of a permitted call; ``of_read``: the call only read.

        ``was_denied`` repeats the argument of ``acquire``. A success of such a call raises their rate limit.
        """
        ...

    def delivered_since(self, moment: dt.datetime) -> bool:
        """Return whether any write call succeeded after this moment, by the store's clock."""
        ...

    def state(self) -> FlowControlState:
        """Return the state of the breaker and the bucket."""
        ...
