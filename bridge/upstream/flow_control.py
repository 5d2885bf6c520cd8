# SPDX-License-Identifier: Apache-2.0
"""The port to the gate before an upstream, shared by all workers: a token bucket and a circuit breaker.

The bucket spaces calls to what upstream allows; it shrinks when upstream throttles all the same, and recovers slowly.
The breaker opens after several failures in a row, or at once if the trouble is our own credentials; after a while it
lets one call through to find out, and closes if that one is answered. Meanwhile writes wait in their lanes and gather.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from bridge.upstream import Outcome


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may go, after this wait; it has its place in the order of calls."""

    wait: dt.timedelta


@dataclass(frozen=True, slots=True)
class Rejected:
    """No call may go; asking again makes sense after this time."""

    after: dt.timedelta
    reason: str


Passage = Permit | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlState:
    """How the gate stands, for people."""

    #: ``closed`` (calls go), ``open`` (none goes) or ``half-open`` (one goes, to find out).
    breaker: str
    reason: str | None
    opens_again_at: dt.datetime | None
    #: Calls a second at present; None if they are not limited.
    rate: float | None
    #: Calls that may go at once; less than nothing if some wait for their place. None if they are not limited.
    bucket: float | None = None
    #: When a call of a worker last got through.
    delivered_at: dt.datetime | None = None


class FlowControl(Protocol):
    """All methods raise ``StoreUnavailable`` when the store can't be asked."""

    def enter(self, *, denied: bool = False) -> Passage:
        """Ask to send one call. Whoever is let in must report what came of it.

        ``denied`` says that upstream has denied the same call before. Such calls have a small rate limit of their own,
        and none of them is the one that finds out how upstream is, unless no other call asks to be it for a while.
        """
        ...

    def report(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:
        """Tell what came of a call, which only read or would have changed something.

        ``was_denied`` is what ``enter`` was asked with. One of these that gets through lets more of them try.
        """
        ...

    def delivered_since(self, moment: dt.datetime) -> bool:
        """Return whether any call that writes got through after this moment, by the store's clock."""
        ...

    def state(self) -> FlowControlState:
        """Return how the gate stands."""
        ...
