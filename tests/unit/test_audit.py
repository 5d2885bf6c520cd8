# SPDX-License-Identifier: Apache-2.0
"""What of all that happens is kept for the audit, and what becomes of a flood."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.errors import StoreUnavailable
from bridge.events import DispatchFailed, Event, RequestCompleted, SignedIn, SignedOut, SignInFailed, StoreError
from bridge.telemetry import audit
from bridge.telemetry.audit import AuditTrail
from schemas.audit import AuditFilter, AuditPage, AuditRecord
from tests.factories import NOW
from tests.fakes import FakeClock

REQUEST: dict[str, Any] = {
    "at": NOW,
    "client": "ops",
    "address": "10.0.0.1",
    "method": "DELETE",
    "path": "/v1/keys/k1",
    "route": "api",
    "action": "ManageKeys",
    "target": "k1",
    "decision": "allowed",
    "status": 204,
    "duration": dt.timedelta(),
    "complete": True,
    "lane": None,
    "writes": 0,
    "replayed": False,
    "job_id": None,
    "request_id": "r1",
    "upstream_request_id": None,
}
DENIAL: dict[str, Any] = {"target": None, "path": "/api/2.0/mlflow/runs/delete", "decision": "denied", "status": 403}


class Stored:
    """Remembers records, and fails while it is asked to."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.is_away = False

    def append(self, records: Sequence[AuditRecord]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.records += records

    def page(self, wanted: AuditFilter, *, after: str | None, limit: int) -> AuditPage:  # noqa: ARG002 - part of AuditStore
        raise AssertionError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def store() -> Stored:
    return Stored()


@pytest.fixture
def observed() -> list[Event]:
    return []


@pytest.fixture
def trail(store: Stored, clock: FakeClock, observed: list[Event], monkeypatch: pytest.MonkeyPatch) -> AuditTrail:
    # The tests flush by themselves.
    monkeypatch.setattr("bridge.process.background.BackgroundThread.start", lambda _: None)
    return AuditTrail(store, clock, observe=observed.append)


def request(**fields: Any) -> RequestCompleted:
    return RequestCompleted(**REQUEST | fields)


def kept(trail: AuditTrail, store: Stored, *events: Event) -> list[tuple[Any, ...]]:
    trail.observe_all(events)
    trail.flush()
    return [(each.client, each.action, each.on, each.decision, each.status) for each in store.records]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (request(), ("ops", "ManageKeys", "k1", "allowed", 204)),
        (request(target="", status=202), ("ops", "ManageKeys", None, "allowed", 202)),
        (request(status=409), ("ops", "ManageKeys", "k1", "allowed", 409)),
        (request(status=403), ("ops", "ManageKeys", "k1", "denied", 403)),
        (request(status=401), ("ops", "ManageKeys", "k1", "unauthenticated", 401)),
        (request(**DENIAL), ("ops", "ManageKeys", None, "denied", 403)),
        (
            request(**DENIAL | {"decision": "rate_limited", "status": 429}),
            ("ops", "ManageKeys", None, "rate_limited", 429),
        ),
        (
            SignedIn(client="anna", via="key", session_id="s", address="a", request_id="r"),
            ("anna", "SignIn", "s", "allowed", 200),
        ),
        (
            SignInFailed(via="oidc", reason="expired_state", detail="", address="a", request_id="r"),
            ("unauthenticated", "SignIn", "expired_state", "unauthenticated", 401),
        ),
        (
            SignedOut(client="anna", via="key", session_id="s", by="anna", address="a", request_id="r"),
            ("anna", "SignOut", "s", "allowed", 200),
        ),
    ],
)
def test_what_is_kept(trail: AuditTrail, store: Stored, event: Event, expected: tuple[Any, ...]) -> None:
    assert kept(trail, store, event) == [expected]


@pytest.mark.parametrize(
    "event",
    [
        request(target=None),
        request(target=None, route="queued", writes=1),
        request(target=None, route="proxied", status=403),
        request(target=None, decision="unauthenticated", status=303),
        request(target=None, decision="unauthenticated", status=503),
        SignedOut(client="anna", via="key", session_id="s", by="ops", request_id="r"),
        DispatchFailed(hints=1, reason=""),
    ],
)
def test_what_is_not_kept(trail: AuditTrail, store: Stored, event: Event) -> None:
    assert kept(trail, store, event) == []


def test_a_flood_becomes_a_few_entries_and_a_count(trail: AuditTrail, store: Stored, clock: FakeClock) -> None:
    trail.observe_all([request(**DENIAL)] * 1000)
    trail.flush()
    assert len(store.records) == 10

    clock.pass_(dt.timedelta(seconds=60))
    trail.flush()
    trail.flush()

    assert [record.count for record in store.records] == [1] * 10 + [990]
    last = store.records[-1]
    assert (last.client, last.action, last.path, last.request_id, last.decision) == ("ops", None, "", None, "denied")
    assert len(kept(trail, store, request(**DENIAL))) == 12, "a minute later it is listed again"


def test_a_flood_from_everywhere_is_bounded_as_well(trail: AuditTrail, store: Stored) -> None:
    trail.observe_all(request(**DENIAL, address=f"10.0.{number >> 8}.{number & 255}") for number in range(20_000))
    trail.close()

    assert len(store.records) <= 201
    assert sum(record.count for record in store.records) == 20_000


def test_a_flood_hides_no_change_and_no_other_decision(trail: AuditTrail, store: Stored) -> None:
    limited = request(**DENIAL | {"decision": "rate_limited", "status": 429})

    kept(trail, store, *[request(**DENIAL)] * 50, request(), limited)

    assert [record.decision for record in store.records[10:]] == ["allowed", "rate_limited"]


def test_while_the_store_is_away_records_wait_and_the_oldest_are_lost_last(
    trail: AuditTrail, store: Stored, observed: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_MAX_BUFFERED", 3)
    store.is_away = True
    for number in range(5):
        trail(request(request_id=f"r{number}"))
        trail.flush()
    store.is_away = False
    trail.flush()

    assert [record.request_id for record in store.records] == ["r2", "r3", "r4"]
    assert {type(event) for event in observed} == {StoreError}
    assert "1 records lost" in str(observed[-1])
