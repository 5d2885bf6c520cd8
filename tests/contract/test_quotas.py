# SPDX-License-Identifier: Apache-2.0
"""Quotas: what several processes let in together, over each kind of store."""

import datetime as dt
from typing import Any

import pytest

from bridge.auth.rate_limits import MAX_DEBT_S, WINDOW_S, RateLimits, Usage
from bridge.errors import OverQuota, StoreUnavailable
from bridge.redis_store import keys
from bridge.redis_store.rate_limits import RedisRateLimitStore
from schemas.client import Client, Quota

GREEDY, OTHER = Client(name="greedy"), Client(name="other")
ONE = ("requests",)


class Clock:
    """Time that moves when it is told to. The store has its own, so a test with both is over before either moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Away:
    """A ledger that can't be asked."""

    def settle(self, _spent: object) -> list[dict[str, float]]:
        raise StoreUnavailable("away")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def let_in(
    rate_limits: RateLimits,
    client: Client = GREEDY,
    *,
    tries: int = 2000,
    needs: tuple[str, ...] = ONE,
    each: dict[str, float] | None = None,
) -> int:
    """How many of so many requests are let in."""
    count = 0
    for _ in range(tries):
        try:
            rate_limits.admit(client, needs=needs)
            rate_limits.charge(client, each or {})
            count += 1
        except OverQuota:
            break
    return count


@pytest.fixture
def alone(clock: Clock) -> RateLimits:
    return RateLimits(Away(), Quota(requests=10, writes=5, bytes=100), monotonic=clock)


def test_a_burst_of_ten_seconds_is_let_in_and_then_the_rate(alone: RateLimits, clock: Clock) -> None:
    burst = let_in(alone)
    clock.now += 1
    after_a_second = let_in(alone)
    clock.now += 1000

    assert (burst, after_a_second, let_in(alone)) == (10 * WINDOW_S, 10, 10 * WINDOW_S)


def test_who_is_turned_away_is_told_when_to_come_again(alone: RateLimits, clock: Clock) -> None:
    let_in(alone, needs=("bytes",), each={"bytes": 10_000.0})

    with pytest.raises(OverQuota, match=r"'greedy' has exceeded its limit of 100 bytes of bodies a second") as caught:
        alone.admit(GREEDY, needs=("bytes",))
    clock.now += caught.value.wait + 0.01

    assert caught.value.wait == pytest.approx((10_000 - 100 * WINDOW_S + 1) / 100)
    assert let_in(alone, tries=1, needs=("bytes",)) == 1


def test_what_a_request_does_not_use_does_not_keep_it_out(alone: RateLimits) -> None:
    let_in(alone, needs=("writes",), each={"writes": 1.0})

    assert let_in(alone, tries=1) == 1


def test_another_client_has_its_own(alone: RateLimits) -> None:
    let_in(alone)

    assert let_in(alone, OTHER, tries=50) == 50


def test_what_was_charged_afterwards_is_owed(alone: RateLimits, clock: Clock) -> None:
    alone.admit(GREEDY, needs=("writes",))
    alone.charge(GREEDY, {"writes": 100.0})
    clock.now += 9

    assert let_in(alone, tries=1, needs=("writes",)) == 0
    clock.now += 1.3
    assert let_in(alone, tries=1, needs=("writes",)) == 1


def test_a_clients_own_quota_counts_more_than_the_settings(alone: RateLimits) -> None:
    rare = Client(name="rare", quota=Quota(requests=0.01))
    free = Client(name="free", quota=Quota(requests=0))
    slow = Client(name="slow", quota=Quota(requests=1))

    assert [let_in(alone, each) for each in (free, slow, rare)] == [2000, WINDOW_S, 1]
    assert not alone.applies_to(Client(name="all", quota=Quota(requests=0, writes=0, bytes=0)))


def test_a_client_that_is_read_anew_is_the_same(alone: RateLimits) -> None:
    let_in(alone, Client(name="c", quota=Quota(requests=3)))

    assert let_in(alone, Client(name="c", quota=Quota(requests=3))) == 0


def test_a_new_quota_forgives_no_debt(alone: RateLimits, clock: Clock) -> None:
    alone.charge(GREEDY, {"requests": 200.0})
    renewed = Client(name="greedy", quota=Quota(requests=50))

    with pytest.raises(OverQuota):
        alone.admit(renewed, needs=ONE)
    clock.now += 100 / 50 + 0.1
    assert let_in(alone, renewed, tries=1) == 1


def test_two_quotas_of_one_client_taken_in_turns_are_not_more_than_one(alone: RateLimits) -> None:
    old, new = (Client(name="c", quota=Quota(requests=rate)) for rate in (3, 4))

    assert sum(let_in(alone, each, tries=1) for _ in range(200) for each in (old, new)) <= 4 * WINDOW_S


def test_nobody_owes_more_than_an_hours_worth(alone: RateLimits, client: Any) -> None:
    alone.charge(GREEDY, {"bytes": 1e20})
    [left] = RedisRateLimitStore(client).settle([Usage(client="a", uses={"bytes": (100.0, 1e20)})])

    assert alone.status(GREEDY)[2].full_in == MAX_DEBT_S + WINDOW_S
    assert left == {"bytes": -100.0 * MAX_DEBT_S}
    assert client.pttl(keys.rate_limits("a")) > 0


def test_one_bucket_that_can_not_be_settled_spoils_no_others(client: Any) -> None:
    client.set(keys.rate_limits("bad"), "no hash")
    spent = [Usage(client=name, uses={"requests": (10.0, 1.0)}) for name in ("bad", "good")]

    assert RedisRateLimitStore(client).settle(spent) == [{}, {"requests": 99.0}]


def test_processes_share_one_bucket(client: Any, clock: Clock) -> None:
    rate = Quota(requests=10)
    first, second = (RateLimits(RedisRateLimitStore(client), rate, monotonic=clock) for _ in range(2))
    for each in (first, second):
        each.admit(GREEDY, needs=ONE)
        each.settle()

    spent = let_in(first)
    first.settle()
    second.charge(GREEDY, {"requests": 0.001})
    second.settle()

    # The store's clock may have gone on by a moment, which is worth a request or two.
    assert spent + let_in(second) <= 10 * WINDOW_S + 10


def test_the_store_forgets_a_bucket_that_is_full(client: Any) -> None:
    RedisRateLimitStore(client).settle([Usage(client="a", uses={"requests": (10.0, 50.0)})])

    assert 5000 < client.pttl(keys.rate_limits("a")) <= 6000


def test_the_ledger_keeps_debts_and_refills_in_its_own_time(client: Any) -> None:
    ledger = RedisRateLimitStore(client)
    owing, quick = (Usage(client="a", uses={"bytes": (1.0, 50.0)}), Usage(client="b", uses={"bytes": (1e6, 3e6)}))

    left = ledger.settle([owing, quick])
    again = ledger.settle(
        [Usage(client="a", uses={"bytes": (1.0, 0.0)}), Usage(client="b", uses={"bytes": (1e6, 0.0)})]
    )

    assert left == [{"bytes": -40.0}, {"bytes": 7e6}]
    assert -40 <= again[0]["bytes"] < -35
    assert 7e6 < again[1]["bytes"] <= 1e7


def test_a_store_that_is_away_keeps_nobody_out(clock: Clock) -> None:
    rate_limits = RateLimits(Away(), Quota(requests=10), monotonic=clock)
    let_in(rate_limits, tries=50)
    rate_limits.settle()
    clock.now += dt.timedelta(seconds=WINDOW_S).total_seconds()

    assert let_in(rate_limits) == 10 * WINDOW_S
