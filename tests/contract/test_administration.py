# SPDX-License-Identifier: Apache-2.0
"""Changes of clients and keys over each kind of store: what is refused, and what two of them at once come to."""

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from bridge.auth.administration import (
    Administration,
    ChangedMeanwhile,
    LastAdministrator,
    OwnAdministration,
    UnknownKey,
)
from bridge.auth.api_keys import ApiKey, StoredClient, new_key
from bridge.redis_store.api_keys import RedisApiKeyStore
from schemas.client import Client, Scope
from tests.factories import NOW
from tests.fakes import FakeClock

ADMIN = (Scope.ADMIN,)
DAY = dt.timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def store(client: Any) -> RedisApiKeyStore:
    return RedisApiKeyStore(client)


@pytest.fixture
def admin(store: RedisApiKeyStore, clock: FakeClock) -> Administration:
    return Administration(store, clock)


def with_key(admin: Administration, name: str, *, expires_at: dt.datetime | None = None, **permissions: Any) -> ApiKey:
    admin.store.put_client(Client(name=name, **permissions))
    key = new_key()
    admin.issue(name, key, expires_at=expires_at)
    return key


def stored(admin: Administration, name: str) -> StoredClient:
    found = admin.store.stored_client(name)
    assert found
    return found


def test_the_last_administrator_stays_whichever_way_it_would_go(admin: Administration) -> None:
    key = with_key(admin, "ops", scopes=ADMIN)
    with_key(admin, "nightly")
    ops = stored(admin, "ops")

    with pytest.raises(LastAdministrator):
        admin.put(Client(name="ops"), was=ops)
    with pytest.raises(LastAdministrator):
        admin.put(Client(name="ops", scopes=ADMIN, deny=("ManageKeys",)), was=ops)
    with pytest.raises(LastAdministrator):
        admin.delete(ops)
    with pytest.raises(LastAdministrator):
        admin.revoke(key.key_id)

    assert admin.store.client_of(key, now=NOW) == Client(name="ops", scopes=ADMIN)


def test_an_administrator_that_can_not_authenticate_does_not_count(admin: Administration, clock: FakeClock) -> None:
    with_key(admin, "ops", scopes=ADMIN)
    admin.store.put_client(Client(name="without-key", scopes=ADMIN))
    with_key(admin, "expired", scopes=ADMIN, expires_at=NOW + DAY)
    clock.pass_(DAY)

    with pytest.raises(LastAdministrator):
        admin.delete(stored(admin, "ops"))
    admin.delete(stored(admin, "without-key"))
    admin.delete(stored(admin, "expired"))


def test_a_client_of_tokens_is_an_administrator_without_a_key(admin: Administration) -> None:
    with_key(admin, "ops", scopes=ADMIN)
    admin.store.put_client(Client(name="oidc:anna", scopes=ADMIN))

    admin.delete(stored(admin, "ops"))

    assert admin.store.client("ops") is None
    with pytest.raises(LastAdministrator):
        admin.delete(stored(admin, "oidc:anna"))


def test_a_command_at_the_store_may_take_away_the_last_administrator(admin: Administration) -> None:
    key = with_key(admin, "ops", scopes=ADMIN)

    admin.revoke(key.key_id, force=True)
    admin.delete(stored(admin, "ops"), force=True)

    assert admin.store.clients() == []


def test_who_is_an_administrator_again_counts_again(admin: Administration) -> None:
    with_key(admin, "a", scopes=ADMIN)
    with_key(admin, "b", scopes=ADMIN)
    admin.put(Client(name="a"), was=stored(admin, "a"))
    with pytest.raises(LastAdministrator):
        admin.delete(stored(admin, "b"))

    admin.put(Client(name="a", scopes=ADMIN), was=stored(admin, "a"))
    admin.delete(stored(admin, "b"))

    assert [client.name for client in admin.store.clients()] == ["a"]


def test_no_client_takes_away_its_own_administration(admin: Administration) -> None:
    key = with_key(admin, "a", scopes=ADMIN)
    with_key(admin, "b", scopes=ADMIN)
    a = stored(admin, "a")

    for change in (
        lambda: admin.put(Client(name="a"), was=a, actor=a.client),
        lambda: admin.put(Client(name="a", scopes=ADMIN, deny=("ManageClients",)), was=a, actor=a.client),
        lambda: admin.put(Client(name="a", scopes=(), allow=("ManageClients", "ManageKeys")), was=a, actor=a.client),
        lambda: admin.delete(a, actor=a.client),
        lambda: admin.revoke(key.key_id, actor=a.client),
    ):
        with pytest.raises(OwnAdministration):
            change()
    second = new_key()
    admin.issue("a", second, expires_at=None)
    admin.revoke(key.key_id, actor=a.client)
    admin.put(Client(name="a", scopes=ADMIN, deny=("DeleteRun",)), was=a, actor=a.client)

    assert admin.store.client_of(second, now=NOW)


def test_who_manages_by_name_keeps_that_as_well(admin: Administration) -> None:
    with_key(admin, "ops", scopes=ADMIN)
    with_key(admin, "desk", scopes=(), allow=("ManageClients",))
    desk = stored(admin, "desk")

    with pytest.raises(OwnAdministration):
        admin.put(Client(name="desk", scopes=()), was=desk, actor=desk.client)


def test_a_change_needs_the_version_that_its_author_has_seen(admin: Administration) -> None:
    with_key(admin, "nightly")
    seen = stored(admin, "nightly")
    admin.put(Client(name="nightly", scopes=(Scope.READ,)), was=seen)

    with pytest.raises(ChangedMeanwhile):
        admin.put(Client(name="nightly", allow=("DeleteRun",)), was=seen)
    with pytest.raises(ChangedMeanwhile):
        admin.put(Client(name="nightly"), was=None)
    with pytest.raises(ChangedMeanwhile):
        admin.delete(seen)

    assert admin.store.client("nightly") == Client(name="nightly", scopes=(Scope.READ,))
    assert stored(admin, "nightly").etag != seen.etag


def test_a_deleted_clients_keys_are_nobodys_even_if_its_name_comes_back(admin: Administration) -> None:
    key = with_key(admin, "nightly")
    admin.delete(stored(admin, "nightly"))
    admin.put(Client(name="nightly"), was=None)

    assert admin.store.client_of(key, now=NOW) is None
    assert admin.store.keys() == []


def test_a_deleted_client_of_tokens_may_do_nothing(admin: Administration) -> None:
    admin.store.put_client(Client(name="oidc:anna"))

    admin.delete(stored(admin, "oidc:anna"))

    assert admin.store.client("oidc:anna") == Client(name="oidc:anna", scopes=())


def test_a_rotated_key_works_until_the_overlap_has_passed(admin: Administration, clock: FakeClock) -> None:
    old, new = with_key(admin, "nightly"), new_key()

    document = admin.rotate(old.key_id, new, overlap=DAY, expires_at=None)

    assert (document.client, document.key_id) == ("nightly", new.key_id)
    assert admin.store.client_of(old, now=clock.now())
    clock.pass_(DAY)
    assert admin.store.client_of(old, now=clock.now()) is None
    assert admin.store.client_of(new, now=clock.now())
    with pytest.raises(UnknownKey):
        admin.rotate(old.key_id, new_key(), overlap=DAY, expires_at=None)


def test_a_key_that_was_revoked_meanwhile_is_not_brought_back_by_a_rotation(
    admin: Administration, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a key before it was revoked must not be written back."""
    old, new = with_key(admin, "nightly"), new_key()
    store = RedisApiKeyStore(client)
    found = store._keys_of_same_kind  # noqa: SLF001 - between reading and writing

    def revoking(name: str, key_id: str) -> Any:
        read = found(name, key_id)
        if any(each == new.key_id for each, _ in read):
            admin.store.revoke(key_id=old.key_id)
        return read

    monkeypatch.setattr(store, "_keys_of_same_kind", revoking)
    Administration(store, FakeClock(NOW)).rotate(old.key_id, new, overlap=DAY, expires_at=None)

    assert admin.store.client_of(old, now=NOW) is None
    assert admin.store.client_of(new, now=NOW)


def demote(admin: Administration, was: StoredClient, _: ApiKey) -> None:
    admin.put(Client(name=was.client.name), was=was)


def delete(admin: Administration, was: StoredClient, _: ApiKey) -> None:
    admin.delete(was)


def revoke(admin: Administration, _: StoredClient, key: ApiKey) -> None:
    admin.revoke(key.key_id)


@pytest.mark.parametrize("how", [demote, delete, revoke])
@pytest.mark.parametrize("other", [demote, delete, revoke])
def test_of_two_removals_at_once_one_fails(admin: Administration, how: Any, other: Any) -> None:
    for number in range(5):
        keys = {f"{name}{number}": with_key(admin, f"{name}{number}", scopes=ADMIN) for name in "ab"}
        removals = [
            partial(remove, admin, stored(admin, name), key)
            for remove, (name, key) in zip((how, other), keys.items(), strict=True)
        ]

        assert sorted(at_once(*removals)) == ["done", "refused"]
        for name in keys:
            admin.store.revoke(client=name)


def at_once(*removals: Callable[[], None]) -> list[str]:
    """What becomes of removals that begin together."""
    together = threading.Barrier(len(removals))

    def result(remove: Callable[[], None]) -> str:
        together.wait()
        try:
            remove()
        except LastAdministrator:
            return "refused"
        return "done"

    with ThreadPoolExecutor(len(removals)) as threads:
        return list(threads.map(result, removals))


def test_both_keys_of_the_only_administrator_are_not_revoked_at_once(admin: Administration) -> None:
    first, second = with_key(admin, "ops", scopes=ADMIN), new_key()
    admin.issue("ops", second, expires_at=None)

    results = at_once(*(partial(admin.revoke, key.key_id) for key in (first, second)))

    assert sorted(results) == ["done", "refused"]
    assert len(admin.store.keys()) == 1


def test_a_claim_stays_when_its_change_fails(
    admin: Administration, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change may still be under way, so its administrator does not count as one that remains."""
    with_key(admin, "a", scopes=ADMIN)
    with_key(admin, "b", scopes=ADMIN)
    slow = RedisApiKeyStore(client)
    monkeypatch.setattr(slow, "delete", lambda _: False)
    with pytest.raises(ChangedMeanwhile):
        Administration(slow, FakeClock(NOW)).delete(stored(admin, "a"))

    with pytest.raises(LastAdministrator):
        admin.delete(stored(admin, "b"))
    admin.delete(stored(admin, "a"))
