# SPDX-License-Identifier: Apache-2.0
"""The port for flow control of one upstream, shared by all workers: rate limiter, circuit breaker, pause.

The token bucket spaces calls to upstream's limit. It shrinks when upstream throttles all the same, and recovers slowly.
The breaker opens after several failures in a row, or at once if the bridge's own credentials are rejected. After a
while it permits one probe call, and closes if that one succeeds. Meanwhile writes wait in their lanes.

An operator can pause deliveries. A pause ends at its own time, or when it is resumed, and outlives every process.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal, Protocol

from bridge.upstream import Outcome
from schemas.upstream import GateDocument, PauseDocument


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may be sent after this wait. Its place in the order of calls is reserved."""

    wait: dt.timedelta


@dataclass(frozen=True, slots=True)
class Withheld:
    """No call may be sent. The next attempt makes sense after this time."""

    after: dt.timedelta
    reason: str
    #: An operator has paused deliveries.
    by_pause: bool = False


Decision = Permit | Withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An operator's order to deliver nothing."""

    why: str
    #: The client that ordered it.
    by: str
    since: dt.datetime
    #: When it ends by itself; None if only an operator ends it.
    until: dt.datetime | None = None

    def document(self) -> PauseDocument:
        """Return the pause as operators see it."""
        return PauseDocument(why=self.why, by=self.by, since=self.since, until=self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlState:
    """The state of the breaker, the bucket and the pause, for status pages and metrics."""

    #: ``closed`` (calls are sent), ``open`` (none is sent) or ``half-open`` (one probe is sent).
    breaker: Literal["closed", "open", "half-open"]
    #: Why the breaker is not closed; None if it is closed.
    reason: str | None
    #: Since when the breaker is not closed; None if it is closed, or if an older release has opened it.
    since: dt.datetime | None = None
    #: When the open breaker permits a probe, which is past if it is half-open; None if it is closed.
    opens_again_at: dt.datetime | None
    #: The present limit in calls a second; None if there is none.
    rate: float | None
    #: The configured limit, above the present one while upstream throttles; None if there is none.
    configured_rate: float | None = None
    #: Calls that may be sent at once; negative if calls wait for their place. None if there is no limit.
    bucket: float | None = None
    #: The last successful write call of a worker.
    delivered_at: dt.datetime | None = None
    #: Calls that a full bucket permits at once; None if there is no limit.
    burst: int | None = None
    #: None unless deliveries are paused.
    paused: Pause | None = None
    #: How often the breaker has opened since upstream last responded, and the failures in a row since it last opened.
    trips: int = 0
    failures: int = 0

    @property
    def permits_calls(self) -> bool:
        """Whether deliveries go on: the breaker is closed, and no operator has paused them."""
        return self.breaker == "closed" and self.paused is None

    def document(self) -> GateDocument:
        """Return the state as operators see it."""
        return GateDocument(
            breaker=self.breaker,
            why=self.reason,
            since=self.since,
            opens_again_at=self.opens_again_at,
            rate=self.rate,
            configured_rate=self.configured_rate,
            burst=self.burst,
            bucket=None if self.bucket is None else round(self.bucket, 3),
            delivered_at=self.delivered_at,
            paused=self.paused.document() if self.paused else None,
        )


class FlowControl(Protocol):
    """A rate limiter, circuit breaker and pause. Every method raises ``StoreUnavailable``."""

    def acquire(self, *, denied: bool = False, delivers: bool = True) -> Decision:
        """Request a permit for one call. A permit must be followed by ``record``.

        ``delivers``: the call is part of a delivery. A pause withholds these, and no other call.
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
        """Return the state of the breaker, the bucket and the pause."""
        ...

    def is_paused(self) -> bool:
        """Return whether deliveries are paused."""
        ...

    def pause(self, *, why: str, by: str, until: dt.datetime | None) -> None:
        """Pause deliveries until this moment, or until ``resume``. A later order replaces an earlier one."""
        ...

    def resume(self) -> None:
        """End the pause, if there is one."""
        ...
