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

#: How long a number that was read from the store is used.
_MAX_AGE = dt.timedelta(seconds=2)
_MAX_CLIENTS = 10_000


class TokenCounts(Protocol):
    """The tokens that clients have used, see `bridge.telemetry.usage.UsageStore`."""

    def tokens(self, client: str, day: dt.datetime) -> int:
        """Return the tokens of a client in the day that begins then, or raise ``StoreUnavailable``."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    day: dt.datetime
    used: int
    read_at: dt.timedelta


class TokenBudgets:
    """Admits calls, or rejects them with ``TokensUsedUp``."""

    def __init__(self, counts: TokenCounts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def applies_to(self, client: Client) -> bool:
        """Return whether this client has a budget. A budget of 0 is none."""
        return bool(client.quota.tokens_per_day)

    def is_current(self, client: Client) -> bool:
        """Return whether a check of this client needs no round trip to the store."""
        return self._current(client.name) is not None

    def check(self, client: Client) -> None:
        """Raise ``TokensUsedUp`` if the client has used its tokens. It reads the store once in some seconds.

        While the store does not respond, the last known number applies: calls do not fail because of it.
        """
        limit = client.quota.tokens_per_day
        if not limit:
            return
        used = (self._current(client.name) or self._read(client.name)).used
        if used >= limit:
            now = self._clock.now()
            tomorrow = UsagePeriod.DAY.begin(now) + dt.timedelta(days=1)
            raise TokensUsedUp(client.name, used=used, limit=limit, wait=(tomorrow - now).total_seconds())

    def _current(self, client: str) -> _Known | None:
        known = self._known.get(client)
        if known is None or known.day != UsagePeriod.DAY.begin(self._clock.now()):
            return None
        return known if self._clock.monotonic() - known.read_at < _MAX_AGE else None

    def _read(self, client: str) -> _Known:
        day, now = UsagePeriod.DAY.begin(self._clock.now()), self._clock.monotonic()
        before = self._known.get(client)
        try:
            used = self._counts.tokens(client, day)
        except StoreUnavailable:
            used = before.used if before and before.day == day else 0
        known = _Known(day, used, now)
        with self._lock:
            if len(self._known) >= _MAX_CLIENTS:
                self._known.clear()
            self._known[client] = known
        return known
