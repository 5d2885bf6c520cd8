# SPDX-License-Identifier: Apache-2.0
"""Rate limits of clients: token buckets for requests, writes and bytes of bodies.

A bucket holds ten seconds' worth and fills at the rate of the quota. A request is admitted while each bucket that it
needs holds one unit. Its usage is then charged, even if the level becomes negative: the debt fills up first. So bursts
pass, a body may exceed a second's worth, and the long-term rate holds.

All api processes share the buckets through the `RateLimitStore`. A process charges its local levels, without a round
trip, and settles with the store ten times a second. That also charges what other processes have spent.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.errors import OverQuota, StoreUnavailable
from bridge.events import Observer
from bridge.process.background import BackgroundThread
from schemas.client import Client, Quota

#: The capacity of a bucket, in seconds' worth of its rate.
WINDOW_S = 10
#: The largest debt of a client, in seconds' worth of its rate.
MAX_DEBT_S = 3600
_SETTLE_INTERVAL_S = 0.1
_MAX_CLIENTS = 10_000

_DEFAULT_QUOTA = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The usage of one client since the last settlement."""

    client: str
    #: By use (``requests``, ``writes`` or ``bytes``): the rate in units a second, and the spent units.
    uses: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStatus:
    """The state of one bucket, for the ``RateLimit`` header."""

    #: ``requests``, ``writes`` or ``bytes``.
    use: str
    #: Units in a full bucket, and units left now.
    capacity: int
    left: int
    #: Seconds until it is full.
    full_in: int


class RateLimits:
    """Admits or rejects requests. Never calls the store while a client waits."""

    def __init__(
        self,
        store: "RateLimitStore",
        default: Quota,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Observer | None = None,
    ) -> None:
        """``default`` is the quota of clients without one of their own."""
        self._store = store
        self._default = default
        self._has_default_limit = any(default.per_second(default).values())
        self._monotonic = monotonic
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()
        self._thread = BackgroundThread(
            "quotas", self.settle, runs_on_call=True, interval_s=_SETTLE_INTERVAL_S, observe=observe
        )

    @property
    def default(self) -> Quota:
        """The quota of clients without one of their own."""
        return self._default

    def applies_to(self, client: Client) -> bool:
        """Return whether any limit applies to this client."""
        if client.quota == _DEFAULT_QUOTA:
            return self._has_default_limit
        return any(client.quota.per_second(self._default).values())

    def admit(self, client: Client, *, needs: Collection[str]) -> None:
        """Admit a request with these uses, or raise ``OverQuota`` if one of their buckets holds less than one unit.

        Its actual usage is charged later, when it is known: the client's announcement can't be trusted.
        """
        with self._lock:
            account, now = self._account(client), self._monotonic()
            for use, bucket in account.buckets.items():
                if use in needs and (lacking := 1 - bucket.fill(now)) > 0:
                    raise OverQuota(client.name, use, bucket.rate, wait=lacking / bucket.rate)
            account.spend({"requests": 1.0})
        self._thread.call()

    def charge(self, client: Client, units: Mapping[str, float]) -> None:
        """Charge the units that an admitted request has used, by use. `admit` has charged the request itself."""
        with self._lock:
            self._account(client).spend(units)
        self._thread.call()

    def status(self, client: Client) -> list[RateLimitStatus]:
        """Return the state of the client's buckets."""
        with self._lock:
            now = self._monotonic()
            return [bucket.status(use, now) for use, bucket in self._account(client).buckets.items()]

    def settle(self) -> None:
        """Charge the local usage in the store and adopt its levels. Usage is dropped if the store is unavailable."""
        with self._lock:
            usage = {name: account.take_unsettled() for name, account in self._accounts.items() if account.has_spent}
        if not usage:
            return
        try:
            levels = self._store.settle([Usage(client=name, uses=uses) for name, uses in usage.items()])
        except StoreUnavailable:
            return
        with self._lock:
            now = self._monotonic()
            for name, stored in zip(usage, levels, strict=True):
                if name in self._accounts:
                    self._accounts[name].adopt(stored, now)

    def _account(self, client: Client) -> "_Account":
        account = self._accounts.get(client.name)
        if account is None or account.quota != client.quota:
            if len(self._accounts) >= _MAX_CLIENTS:
                # The oldest account: dicts keep the order of insertion.
                self._accounts.pop(next(iter(self._accounts)))
            account = _new_account(client.quota, self._default, self._monotonic(), former=account)
            self._accounts[client.name] = account
        return account


class RateLimitStore(Protocol):
    """The buckets that all processes share."""

    def settle(self, spent: Sequence[Usage]) -> list[dict[str, float]]:
        """Charge usage and return the level of each bucket, without those that can't be settled.

        Raises ``StoreUnavailable``.
        """
        ...


@dataclass(slots=True)
class _Bucket:
    """One token bucket of a client, in units of its use."""

    #: Units a second.
    rate: float
    #: The units left at ``filled_at`` (monotonic seconds); negative for a debt.
    level: float
    filled_at: float
    #: Units spent since the last settlement.
    unsettled: float = 0.0

    @property
    def capacity(self) -> float:
        # At least one unit, so that a rate of one request a minute still admits one.
        return max(1.0, self.rate * WINDOW_S)

    def fill(self, now: float) -> float:
        """Add what has flowed in until now, and return the level."""
        self.level = min(self.capacity, self.level + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return self.level

    def status(self, use: str, now: float) -> RateLimitStatus:
        missing = self.capacity - self.fill(now)
        full_in = math.ceil(missing / self.rate)
        return RateLimitStatus(use=use, capacity=round(self.capacity), left=max(0, int(self.level)), full_in=full_in)


@dataclass(slots=True)
class _Account:
    """The buckets of one client in this process, by use."""

    quota: Quota
    buckets: dict[str, _Bucket] = field(default_factory=dict)

    @property
    def has_spent(self) -> bool:
        return any(bucket.unsettled for bucket in self.buckets.values())

    def spend(self, units: Mapping[str, float]) -> None:
        for use, bucket in self.buckets.items():
            spent = units.get(use, 0)
            bucket.level = max(bucket.level - spent, -MAX_DEBT_S * bucket.rate)
            bucket.unsettled += spent

    def take_unsettled(self) -> dict[str, tuple[float, float]]:
        """Return the rate and the unsettled units of each bucket, and mark them as settled."""
        unsettled = {use: (bucket.rate, bucket.unsettled) for use, bucket in self.buckets.items()}
        for bucket in self.buckets.values():
            bucket.unsettled = 0.0
        return unsettled

    def adopt(self, levels: Mapping[str, float], now: float) -> None:
        """Replace the local levels by those of the store."""
        for use, bucket in self.buckets.items():
            if use in levels:
                # The store does not know what was spent during its call.
                bucket.level, bucket.filled_at = levels[use] - bucket.unsettled, now


def _new_account(quota: Quota, default: Quota, now: float, *, former: _Account | None) -> _Account:
    """Return the account for a new or changed quota. Levels and debts of a former quota are kept."""
    account = _Account(quota)
    for use, rate in quota.per_second(default).items():
        if rate:
            bucket = _Bucket(rate, 0.0, now)
            bucket.level = bucket.capacity
            if former and use in former.buckets:
                former_bucket = former.buckets[use]
                bucket.level = min(bucket.capacity, former_bucket.fill(now))
                bucket.unsettled = former_bucket.unsettled
            account.buckets[use] = bucket
    return account
