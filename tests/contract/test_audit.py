# SPDX-License-Identifier: Apache-2.0
"""The stored audit records, over each kind of store."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from bridge.redis_store import audit as redis_audit
from bridge.redis_store import keys
from bridge.redis_store.audit import RedisAuditStore
from bridge.telemetry.audit import InvalidAuditCursor
from schemas.audit import AuditFilter, AuditRecord

NOW = dt.datetime.now(dt.UTC)
MINUTE = dt.timedelta(minutes=1)
DONE = AuditRecord(
    at=NOW,
    client="ops",
    address="10.0.0.1",
    action="ManageKeys",
    method="DELETE",
    path="/v1/keys/x",
    on="x",
    decision="allowed",
    status=204,
    request_id="r0",
)
DENIED = msgspec.structs.replace(DONE, client="nightly", decision="denied", status=403)


@pytest.fixture
def store(client: Any) -> RedisAuditStore:
    return RedisAuditStore(client)


def listed(store: RedisAuditStore, *, limit: int = 100, **wanted: Any) -> list[str | None]:
    """The request ids of all pages, page by page."""
    found, after = [], None
    while True:
        page = store.page(AuditFilter(**wanted), after=after, limit=limit)
        assert len(page.entries) <= limit
        found += [entry.request_id for entry in page.entries]
        after = page.next
        if after is None:
            return found


def numbered(record: AuditRecord, number: int, **fields: Any) -> AuditRecord:
    return msgspec.structs.replace(record, request_id=f"r{number}", **fields)


def test_records_are_returned_whole_the_newest_first(store: RedisAuditStore) -> None:
    for number in range(4):
        store.append([numbered(DONE, number)])

    page = store.page(AuditFilter(), after=None, limit=10)

    assert [entry.request_id for entry in page.entries] == ["r3", "r2", "r1", "r0"]
    assert page.next is None
    assert msgspec.structs.asdict(page.entries[3]).items() >= msgspec.structs.asdict(DONE).items()
    assert len({entry.id for entry in page.entries}) == 4


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_have_each_record_once_whichever_stream_it_is_in(store: RedisAuditStore, limit: int) -> None:
    store.append([numbered(DENIED if number % 3 else DONE, number) for number in range(20)])

    found = listed(store, limit=limit)

    assert len(found) == 20
    assert set(found) == {f"r{number}" for number in range(20)}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"client": "ops"}, ["r0"]),
        ({"client": "nightly"}, ["r2", "r1"]),
        ({"action": "ManageKeys"}, ["r1", "r0"]),
        ({"decision": "denied"}, ["r1"]),
        ({"decision": "rate_limited"}, ["r2"]),
        ({"decision": "allowed"}, ["r0"]),
        ({"request_id": "r1"}, ["r1"]),
        ({"since": NOW + MINUTE}, ["r2", "r1"]),
        ({"until": NOW + 2 * MINUTE}, ["r1", "r0"]),
        ({"since": NOW + MINUTE, "until": NOW + 2 * MINUTE, "client": "nightly"}, ["r1"]),
        ({"client": "other"}, []),
    ],
)
def test_each_filter_selects(store: RedisAuditStore, wanted: dict[str, Any], expected: list[str]) -> None:
    store.append([numbered(DONE, 0)])
    store.append([numbered(DENIED, 1, at=NOW + MINUTE)])
    store.append([numbered(DENIED, 2, at=NOW + 2 * MINUTE, action=None, decision="rate_limited")])

    assert listed(store, **wanted) == expected


def test_denials_push_out_no_change(store: RedisAuditStore, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_audit, "MAX_ENTRIES", 100)
    store.append([numbered(DONE, 0)])
    for _ in range(10):
        store.append([numbered(DENIED, number) for number in range(1, 101)])

    # A stream is shortened by whole nodes, of a hundred entries.
    assert client.xlen(keys.AUDITED_DENIALS) <= 300
    assert listed(store, decision="allowed") == ["r0"]


def test_what_is_older_than_the_limit_is_not_returned(store: RedisAuditStore, client: Any) -> None:
    old = round((dt.datetime.now(dt.UTC) - redis_audit.MAX_AGE - MINUTE).timestamp() * 1000)
    client.xadd(keys.AUDITED_CHANGES, {b"record": msgspec.msgpack.encode(DONE)}, id=f"{old}-0")
    store.append([numbered(DONE, 1)])

    assert listed(store) == ["r1"]


def test_a_page_that_finds_little_ends_early_and_goes_on(
    store: RedisAuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_audit, "_MAX_SCANNED_ENTRIES", 10)
    monkeypatch.setattr(redis_audit, "_CHUNK_ENTRIES", 3)
    store.append([numbered(DONE, 0)])
    store.append([numbered(DENIED, number) for number in range(1, 30)])

    first = store.page(AuditFilter(client="ops"), after=None, limit=5)

    assert (first.entries, first.next is None) == ([], False)
    assert listed(store, client="ops", limit=5) == ["r0"]


@pytest.mark.parametrize("cursor", ["x", "1-0", "1-0.x", "-", "1-0.c\n", "٣-0.c"])
def test_a_cursor_is_that_of_an_earlier_page(store: RedisAuditStore, cursor: str) -> None:
    with pytest.raises(InvalidAuditCursor):
        store.page(AuditFilter(), after=cursor, limit=1)
