# SPDX-License-Identifier: Apache-2.0
"""What is known of the use of clients: pending bytes, dead letters, and the levels of their rate limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.auth.rate_limits import WINDOW_S
from schemas.client import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientActivity:
    """The use of one client."""

    pending_bytes: int = 0
    dead_letters: int = 0
    #: What was left in each bucket, and when (s). A full one has no entry.
    buckets: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def levels(self, quota: Quota, default: Quota, now: float) -> dict[str, float] | None:
        """Return how full each bucket is, from 0 to 1; None without any limit."""
        rates = {use: rate for use, rate in quota.per_second(default).items() if rate}
        return {use: self._level(use, rate, now) for use, rate in rates.items()} or None

    def _level(self, use: str, rate: float, now: float) -> float:
        capacity = max(1.0, rate * WINDOW_S)
        left, at = self.buckets.get(use, (capacity, now))
        return round(max(0.0, min(1.0, (left + max(0.0, now - at) * rate) / capacity)), 3)


class ClientActivities(Protocol):
    """The use of all clients."""

    def of(self, names: Collection[str]) -> dict[str, ClientActivity]:
        """Return the use of each of these clients. Dead letters are counted every few seconds.

        Raises ``StoreUnavailable``.
        """
        ...
