# SPDX-License-Identifier: Apache-2.0
"""What each client may use a second: requests, writes and bytes of bodies.

Each use has a bucket that holds ten seconds' worth and fills at the rate of the quota. A request is let in while each
that it needs holds one unit, and takes out what it comes to, also more than is left: what is owed fills up first.
So a burst is welcome, a body may be larger than a second's worth, and over time nobody gets more than his rate.

The buckets are shared by all api processes through the `RateLimitStore`. A process spends from what it knows, at no
round trip, and settles with the ledger a few times a second; what others have spent meanwhile is owed here, too.
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

#: How many seconds' worth a bucket holds.
WINDOW = 10
#: How many seconds' worth a client can owe at most.
LONGEST_DEBT = 3600
#: How often, in seconds, a process settles with the ledger.
_PERIOD = 0.1
_MOST_CLIENTS = 10_000

_NOTHING_SAID = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one client has spent of its buckets since the last time."""

    client: str
    #: By use: units a second, and units spent.
    uses: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStatus:
    """How one bucket stands, for its client."""

    use: str
    #: Units that it holds when it is full, and holds now.
    capacity: int
    left: int
    #: Seconds until it is full.
    full_in: int


class RateLimitStore(Protocol):
    """The buckets as all processes share them."""

    def settle(self, spent: Sequence[Usage]) -> list[dict[str, float]]:
        """Take out what was spent, and return what is left of each bucket; or raise ``StoreUnavailable``.

        Nothing is returned of a bucket that can't be settled.
        """
        ...


class RateLimits:
    """Lets requests in, or says when to come again. Never asks the ledger while a client waits."""

    def __init__(
        self,
        ledger: RateLimitStore,
        default: Quota,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Observer | None = None,
    ) -> None:
        """``default`` is the quota of a client of whom nothing else is said."""
        self._ledger = ledger
        self._default = default
        self._limits_all = any(default.per_second(default).values())
        self._monotonic = monotonic
        self._accounts: dict[str, _Account] = {}
        self._changing = threading.Lock()
        self._thread = BackgroundThread("quotas", self.settle, called=True, every=_PERIOD, observe=observe)

    def limit(self, client: Client) -> bool:
        """Return whether there is anything to count for this client."""
        if client.quota == _NOTHING_SAID:
            return self._limits_all
        return any(client.quota.per_second(self._default).values())

    def enter(self, client: Client, *, needs: Collection[str]) -> None:
        """Let in a request that needs these uses, or raise ``OverQuota`` if one of their buckets has not one unit left.

        What it comes to is charged when that is known; a client may say what it likes of it before.
        """
        with self._changing:
            account, now = self._account(client), self._monotonic()
            for use, bucket in account.buckets.items():
                if use in needs and (lacking := 1 - bucket.fill(now)) > 0:
                    raise OverQuota(client.name, use, bucket.rate, wait=lacking / bucket.rate)
            account.spend({"requests": 1.0})
        self._thread.call()

    def charge(self, client: Client, more: Mapping[str, float]) -> None:
        """Take out what a request that was let in has come to, besides being one."""
        with self._changing:
            self._account(client).spend(more)
        self._thread.call()

    def standing(self, client: Client) -> list[RateLimitStatus]:
        """Return how the client's buckets stand."""
        with self._changing:
            now = self._monotonic()
            return [bucket.standing(use, now) for use, bucket in self._account(client).buckets.items()]

    def settle(self) -> None:
        """Tell the ledger what was spent here, and take over what is left. What can't be told is forgotten."""
        with self._changing:
            active = {name: account.spent() for name, account in self._accounts.items() if account.has_spent}
        if not active:
            return
        try:
            levels = self._ledger.settle([Usage(client=name, uses=uses) for name, uses in active.items()])
        except StoreUnavailable:
            return
        with self._changing:
            now = self._monotonic()
            for name, left in zip(active, levels, strict=True):
                if name in self._accounts:
                    self._accounts[name].take_over(left, now)

    def _account(self, client: Client) -> "_Account":
        account = self._accounts.get(client.name)
        if account is None or account.quota != client.quota:
            if len(self._accounts) >= _MOST_CLIENTS:
                self._accounts.pop(next(iter(self._accounts)))
            account = _open(client.quota, self._default, self._monotonic(), before=account)
            self._accounts[client.name] = account
        return account


@dataclass(slots=True)
class _Bucket:
    rate: float
    level: float
    at: float
    unsettled: float = 0.0

    @property
    def capacity(self) -> float:
        # Who may ask once a minute may still ask once.
        return max(1.0, self.rate * WINDOW)

    def fill(self, now: float) -> float:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        return self.level

    def standing(self, use: str, now: float) -> RateLimitStatus:
        missing = self.capacity - self.fill(now)
        full_in = math.ceil(missing / self.rate)
        return RateLimitStatus(use=use, capacity=round(self.capacity), left=max(0, int(self.level)), full_in=full_in)


@dataclass(slots=True)
class _Account:
    quota: Quota
    buckets: dict[str, _Bucket] = field(default_factory=dict)

    @property
    def has_spent(self) -> bool:
        return any(bucket.unsettled for bucket in self.buckets.values())

    def spend(self, units: Mapping[str, float]) -> None:
        for use, bucket in self.buckets.items():
            spent = units.get(use, 0)
            bucket.level = max(bucket.level - spent, -LONGEST_DEBT * bucket.rate)
            bucket.unsettled += spent

    def spent(self) -> dict[str, tuple[float, float]]:
        """Return what was not settled yet; it counts as settled from now on."""
        found = {use: (bucket.rate, bucket.unsettled) for use, bucket in self.buckets.items()}
        for bucket in self.buckets.values():
            bucket.unsettled = 0.0
        return found

    def take_over(self, left: Mapping[str, float], now: float) -> None:
        for use, bucket in self.buckets.items():
            if use in left:
                # What was spent while the ledger was asked is not known there yet.
                bucket.level, bucket.at = left[use] - bucket.unsettled, now


def _open(quota: Quota, default: Quota, now: float, *, before: _Account | None) -> _Account:
    """Return the account of a client whose quota is new here: what was left or owed under another one, is still."""
    account = _Account(quota)
    for use, rate in quota.per_second(default).items():
        if rate:
            bucket = _Bucket(rate, 0.0, now)
            bucket.level = bucket.capacity
            if before and use in before.buckets:
                earlier = before.buckets[use]
                bucket.level, bucket.unsettled = min(bucket.capacity, earlier.fill(now)), earlier.unsettled
            account.buckets[use] = bucket
    return account
