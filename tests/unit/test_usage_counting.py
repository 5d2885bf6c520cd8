# SPDX-License-Identifier: Apache-2.0
"""Usage and token budgets: what each request counts, and when no more tokens are left."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from bridge.auth.token_budgets import TokenBudgets
from bridge.errors import OverQuota, StoreUnavailable, TokensUsedUp
from bridge.events import GatewayUse, WritesDelivered
from bridge.telemetry.usage import Account, Counts, UsageMeter
from schemas.client import ANYBODY, UNAUTHENTICATED, Client, Quota
from schemas.usage import UsagePeriod, step_of
from tests.fakes import FakeClock
from tests.unit.test_metrics_counting import DELIVERED, REQUEST

NOON = dt.datetime(2026, 1, 2, 12, 30, tzinfo=dt.UTC)
HOUR = UsagePeriod.HOUR.begin(NOON)
CALL = GatewayUse(endpoint="chat", prompt_tokens=9, completion_tokens=12)


class FakeUsage:
    """Usage in memory, that can be away."""

    def __init__(self) -> None:
        self.counts: defaultdict[Account, Counter[str]] = defaultdict(Counter)
        self.is_away = False
        self.reads = 0
        self.used = 0

    def add(self, usage: Mapping[Account, Counts]) -> None:
        self._check()
        for account, counts in usage.items():
            self.counts[account].update(counts)

    def clients(self, since: dt.datetime) -> list[str]:
        raise NotImplementedError

    def read(self, clients: Sequence[str], period: UsagePeriod, begins: Sequence[dt.datetime]) -> Any:
        raise NotImplementedError

    def tokens(self, client: str, day: dt.datetime) -> int:  # noqa: ARG002 - part of UsageStore
        self.reads += 1
        self._check()
        return self.used

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")


@pytest.fixture
def store() -> FakeUsage:
    return FakeUsage()


def request(**fields: Any) -> Any:
    return msgspec.structs.replace(REQUEST, **({"at": NOON, "bytes": 10} | fields))


def counted(store: FakeUsage, *requests: Any) -> dict[Account, dict[str, int]]:
    meter = UsageMeter(store)
    meter.count_all(requests)
    meter.flush()
    return {account: dict(counts) for account, counts in store.counts.items()}


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, {"writes": 1}),
        ({"writes": 5, "status": 202}, {"writes": 5}),
        ({"replayed": True}, {}),
        ({"route": "proxied", "writes": 0}, {}),
        ({"route": "queued", "writes": 0, "status": 400}, {"refused": 1}),
        ({"route": "queued", "writes": 0, "status": 503}, {"refused": 1}),
        ({"route": "proxied", "writes": 0, "status": 400}, {}),
        ({"route": "rejected", "writes": 0, "status": 403, "decision": "denied"}, {"denied": 1}),
        ({"route": "rejected", "writes": 0, "status": 429, "decision": "rate_limited"}, {"limited": 1}),
        (
            {"route": "proxied", "writes": 0, "gateway": CALL},
            {
                "prompt_tokens": 9,
                "completion_tokens": 12,
                "requests/chat": 1,
                "prompt_tokens/chat": 9,
                "completion_tokens/chat": 12,
            },
        ),
    ],
)
def test_a_request_counts_for_its_client_in_its_hour(
    store: FakeUsage, fields: dict[str, Any], counts: dict[str, int]
) -> None:
    assert counted(store, request(**fields)) == {(HOUR, "c"): {"requests": 1, "bytes": 10, **counts}}


def test_strangers_are_one_row_and_probes_are_none(store: FakeUsage) -> None:
    stranger = {"client": UNAUTHENTICATED.name, "decision": "unauthenticated", "writes": 0}
    probe = stranger | {"decision": "allowed"}
    anybody = {"client": ANYBODY.name, "at": NOON + dt.timedelta(hours=1)}

    found = counted(store, *[request(**fields) for fields in (stranger, stranger, probe, anybody)], DELIVERED)

    assert isinstance(DELIVERED, WritesDelivered)
    assert {account: counts["requests"] for account, counts in found.items()} == {
        (HOUR, UNAUTHENTICATED.name): 2,
        (HOUR + dt.timedelta(hours=1), ANYBODY.name): 1,
    }


def test_endpoints_without_end_are_counted_together(store: FakeUsage) -> None:
    calls = [GatewayUse(endpoint=f"e{number}", prompt_tokens=1) for number in range(500)]

    [counts] = counted(store, *(request(gateway=call) for call in calls)).values()

    assert counts["prompt_tokens"] == 500
    assert counts["requests/other"] == 400
    assert len(counts) == 4 + 2 * 101
    assert step_of(HOUR, counts).models["other"].prompt_tokens == 400


def test_what_a_store_that_is_away_could_not_take_is_added_later(store: FakeUsage) -> None:
    meter = UsageMeter(store)
    store.is_away = True
    meter.count_all([request()])
    meter.flush()
    store.is_away = False
    meter.count_all([request()])
    meter.flush()
    meter.flush()

    assert store.counts[HOUR, "c"]["requests"] == 2


LIMITED = Client(name="limited", quota=Quota(tokens_per_day=100))


def budgets(store: FakeUsage) -> tuple[TokenBudgets, FakeClock]:
    clock = FakeClock(NOON)
    return TokenBudgets(store, clock), clock


def test_a_budget_that_is_used_up_is_there_again_at_midnight(store: FakeUsage) -> None:
    budget, clock = budgets(store)
    store.used = 99
    budget.check(LIMITED)
    store.used = 100
    clock.pass_(dt.timedelta(seconds=3))

    with pytest.raises(TokensUsedUp, match=r"'limited' has used 100 of its 100 tokens of this day \(UTC\)") as caught:
        budget.check(LIMITED)
    assert isinstance(caught.value, OverQuota)
    assert caught.value.wait == 11.5 * 3600 - 3
    store.used = 0
    clock.pass_(dt.timedelta(seconds=caught.value.wait))
    budget.check(LIMITED)


def test_the_store_is_read_once_in_some_seconds(store: FakeUsage) -> None:
    budget, clock = budgets(store)
    for _ in range(10):
        budget.check(LIMITED)
    assert (store.reads, budget.is_current(LIMITED)) == (1, True)

    clock.pass_(dt.timedelta(seconds=2))
    assert not budget.is_current(LIMITED)
    budget.check(LIMITED)
    assert store.reads == 2


@pytest.mark.parametrize("limit", [None, 0])
def test_without_a_budget_nothing_is_read(store: FakeUsage, limit: int | None) -> None:
    budget, _ = budgets(store)
    client = Client(name="c", quota=Quota(tokens_per_day=limit))
    store.used = 10**9

    budget.check(client)
    assert (store.reads, budget.applies_to(client)) == (0, False)


def test_without_the_store_the_last_known_number_applies(store: FakeUsage) -> None:
    budget, clock = budgets(store)
    store.is_away = True
    budget.check(LIMITED)
    store.is_away, store.used = False, 100
    clock.pass_(dt.timedelta(seconds=3))
    with pytest.raises(TokensUsedUp):
        budget.check(LIMITED)
    store.is_away = True
    clock.pass_(dt.timedelta(seconds=3))
    with pytest.raises(TokensUsedUp):
        budget.check(LIMITED)
