# SPDX-License-Identifier: Apache-2.0
"""The activity of clients, for operators: pending bytes, dead letters, and the levels of their rate limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from bridge.auth.rate_limits import WINDOW_S
from schemas.client import Quota


class BucketLevel(NamedTuple):
    """The units that a bucket held at a moment."""

    left: float
    #: Seconds since the epoch.
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientActivity:
    """The activity of one client."""

    pending_bytes: int = 0
    dead_letters: int = 0
    #: The last stored level of each bucket, by use. A full bucket has no entry.
    buckets: Mapping[str, BucketLevel] = field(default_factory=dict)

    def levels(self, quota: Quota, default: Quota, now: float) -> dict[str, float] | None:
        """Return how full each bucket is, from 0 to 1; None without any limit. ``now``: seconds since the epoch."""
        rates = {use: rate for use, rate in quota.per_second(default).items() if rate}
        return {use: self._share_left(use, rate, now) for use, rate in rates.items()} or None

    def _share_left(self, use: str, rate: float, now: float) -> float:
        capacity = max(1.0, rate * WINDOW_S)
        left, at = self.buckets.get(use, BucketLevel(capacity, now))
        refilled = left + max(0.0, now - at) * rate
        return round(max(0.0, min(1.0, refilled / capacity)), 3)


class ClientActivities(Protocol):
    """Reads the activity of clients."""

    def of(self, names: Collection[str]) -> dict[str, ClientActivity]:
        """Return the activity of each of these clients. Dead letters are counted every few seconds.

        Raises ``StoreUnavailable``.
        """
        ...
