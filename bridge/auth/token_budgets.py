# SPDX-License-Identifier: Apache-2.0
"""Token budgets: how many tokens of MLflow's AI Gateway each client may use in a day (UTC).

A call is checked before it is made, and counted once its response has stated its tokens. So the calls that are in
progress when the budget ends, and those of the next seconds, still pass. The next day begins with all tokens.
"""

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Protocol

from bridge.errors import StoreUnavailable, TokensUsedUp
from bridge.process.clock import Clock
from schemas.client import Client
from schemas.usage import UsagePeriod

#: How long a count that was read from the store is used.
_CACHE_TTL = dt.timedelta(seconds=2)
_MAX_CLIENTS = 10_000


class TokenCounts(Protocol):
    """The tokens that each client has used, see `bridge.telemetry.usage.UsageStore`."""

    def tokens(self, client: str, day: dt.datetime) -> int:
        """Return the tokens of a client in the day that begins then, or raise ``StoreUnavailable``."""
        ...


@dataclass(frozen=True, slots=True)
class _CachedCount:
    """The tokens that a client has used in the day that begins at ``day``."""

    day: dt.datetime
    used: int
    #: Monotonic time.
    read_at: dt.timedelta


class TokenBudgets:
    """Admits calls, or rejects them with ``TokensUsedUp``."""

    def __init__(self, counts: TokenCounts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock
        self._cached: dict[str, _CachedCount] = {}
        self._lock = threading.Lock()

    def applies_to(self, client: Client) -> bool:
        """Return whether this client has a budget. A budget of 0 is none."""
        return bool(client.quota.tokens_per_day)

    def is_current(self, client: Client) -> bool:
        """Return whether a check of this client needs no round trip to the store."""
        return self._current(client.name) is not None

    def check(self, client: Client) -> None:
        """Raise ``TokensUsedUp`` if the client has used its tokens. Reads the store at most once in two seconds.

        While the store does not respond, the last known count applies, so that calls do not fail because of it.
        """
        limit = client.quota.tokens_per_day
        if not limit:
            return
        used = (self._current(client.name) or self._read(client.name)).used
        if used >= limit:
            now = self._clock.now()
            tomorrow = UsagePeriod.DAY.begin(now) + dt.timedelta(days=1)
            raise TokensUsedUp(client.name, used=used, limit=limit, wait=(tomorrow - now).total_seconds())

    def _current(self, client: str) -> _CachedCount | None:
        cached = self._cached.get(client)
        if cached is None or cached.day != UsagePeriod.DAY.begin(self._clock.now()):
            return None
        return cached if self._clock.monotonic() - cached.read_at < _CACHE_TTL else None

    def _read(self, client: str) -> _CachedCount:
        day, now = UsagePeriod.DAY.begin(self._clock.now()), self._clock.monotonic()
        former = self._cached.get(client)
        try:
            used = self._counts.tokens(client, day)
        except StoreUnavailable:
            used = former.used if former and former.day == day else 0
        count = _CachedCount(day, used, now)
        with self._lock:
            if len(self._cached) >= _MAX_CLIENTS:
                self._cached.clear()
            self._cached[client] = count
        return count
