# SPDX-License-Identifier: Apache-2.0
"""Browser sessions and sign-ins that are under way, over each kind of store."""

import datetime as dt
from typing import Any

import pytest

from bridge.auth.api_keys import ApiKey, new_key
from bridge.auth.oidc_login import PendingLogin
from bridge.auth.sessions import (
    BrowserSession,
    BrowserSessions,
    Identity,
    NotPermitted,
    identity_of_key,
    session_id_of,
)
from bridge.redis_store import keys
from bridge.redis_store.api_keys import RedisApiKeyStore
from bridge.redis_store.sessions import RedisPendingLoginStore, RedisSessionStore
from schemas.client import Client, Scope
from tests.factories import NOW
from tests.fakes import FakeClock

IDLE, MAX_AGE = dt.timedelta(hours=8), dt.timedelta(hours=24)
MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
ANNA = Identity(client="oidc:anna", display="Anna", via="oidc", auth_time=NOW, scopes=(Scope.READ,))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def api_keys(client: Any) -> RedisApiKeyStore:
    return RedisApiKeyStore(client)


@pytest.fixture
def store(client: Any) -> RedisSessionStore:
    return RedisSessionStore(client)


@pytest.fixture
def sessions(store: RedisSessionStore, api_keys: RedisApiKeyStore, clock: FakeClock) -> BrowserSessions:
    return BrowserSessions(store, api_keys, clock, idle_timeout=IDLE, max_age=MAX_AGE)


def signed_in_by_key(
    sessions: BrowserSessions, api_keys: RedisApiKeyStore, *, expires_at: dt.datetime | None = None
) -> tuple[str, BrowserSession, ApiKey]:
    key = new_key()
    api_keys.put_client(Client(name="nightly"))
    api_keys.add_key("nightly", key, now=NOW, expires_at=expires_at)
    identity = identity_of_key(api_keys, key.text, now=NOW)
    assert identity
    token, session, _ = sessions.begin(identity)
    return token, session, key


def test_a_session_is_found_by_its_cookie_and_by_nothing_else(sessions: BrowserSessions) -> None:
    token, session, _ = sessions.begin(ANNA)

    found = sessions.find(token)

    assert found == (session, Client(name="oidc:anna", scopes=(Scope.READ,)))
    assert sessions.find(session.session_id) is None
    assert sessions.find(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert sessions.find("") is None


def test_the_store_never_sees_the_cookie(sessions: BrowserSessions, client: Any) -> None:
    token, session, _ = sessions.begin(ANNA)

    assert session.session_id == session_id_of(token)
    assert token.encode() not in client.get(keys.browser_session(session.session_id))


def test_each_sign_in_has_a_value_of_its_own(sessions: BrowserSessions) -> None:
    assert len({sessions.begin(ANNA)[0] for _ in range(3)}) == 3


def test_a_session_ends_when_it_is_idle_for_too_long(sessions: BrowserSessions, clock: FakeClock, client: Any) -> None:
    token, session, _ = sessions.begin(ANNA)

    clock.pass_(IDLE - MINUTE)
    assert sessions.find(token)
    clock.pass_(IDLE - MINUTE)
    assert sessions.find(token)
    clock.pass_(IDLE)
    assert sessions.find(token) is None
    assert 0 < client.pttl(keys.browser_session(session.session_id)) <= IDLE.total_seconds() * 1000


def test_a_session_ends_after_its_longest_time_however_busy_it_is(sessions: BrowserSessions, clock: FakeClock) -> None:
    token, _, _ = sessions.begin(ANNA)

    for _ in range(23):
        clock.pass_(HOUR)
        assert sessions.find(token)
    clock.pass_(HOUR)

    assert sessions.find(token) is None


def test_a_session_that_was_ended_stays_so(
    sessions: BrowserSessions, store: RedisSessionStore, clock: FakeClock
) -> None:
    token, session, _ = sessions.begin(ANNA)

    assert sessions.end(session.session_id) == session
    clock.pass_(HOUR)
    # A request that was under way meanwhile.
    store.touch(session, ttl=HOUR)

    assert sessions.find(token) is None
    assert sessions.end(session.session_id) is None


def test_a_keys_session_ends_with_the_key(sessions: BrowserSessions, api_keys: RedisApiKeyStore) -> None:
    token, _, key = signed_in_by_key(sessions, api_keys)
    assert sessions.find(token)

    api_keys.revoke(key_id=key.key_id)

    assert sessions.find(token) is None


def test_a_keys_session_lasts_no_longer_than_the_key(
    sessions: BrowserSessions, api_keys: RedisApiKeyStore, clock: FakeClock
) -> None:
    token, session, _ = signed_in_by_key(sessions, api_keys, expires_at=NOW + HOUR)

    assert session.ends_at == NOW + HOUR
    clock.pass_(HOUR)
    assert sessions.find(token) is None


def test_a_keys_session_ends_with_a_key_that_was_shortened(
    sessions: BrowserSessions, api_keys: RedisApiKeyStore, clock: FakeClock
) -> None:
    token, _, _ = signed_in_by_key(sessions, api_keys)

    newer = new_key()
    api_keys.add_key("nightly", newer, now=NOW, expires_at=None)
    api_keys.expire_others("nightly", newer.key_id, at=NOW + HOUR)
    clock.pass_(HOUR)

    assert sessions.find(token) is None


@pytest.mark.parametrize("text", ["", "mbk_x", new_key().text], ids=["empty", "no key", "a key of no client"])
def test_no_other_text_signs_in(api_keys: RedisApiKeyStore, text: str) -> None:
    assert identity_of_key(api_keys, text, now=NOW) is None


def test_what_is_kept_of_a_client_counts_more_than_the_providers_roles(
    sessions: BrowserSessions, api_keys: RedisApiKeyStore
) -> None:
    token, _, _ = sessions.begin(ANNA)
    permitted = Client(name="oidc:anna", scopes=(Scope.ADMIN,))
    api_keys.put_client(permitted)

    found = sessions.find(token)

    assert found
    assert found[1] == permitted


def test_a_client_that_was_revoked_is_signed_out(sessions: BrowserSessions, api_keys: RedisApiKeyStore) -> None:
    token, _, _ = sessions.begin(ANNA)

    api_keys.revoke(client="oidc:anna")

    assert sessions.find(token) is None


def test_who_may_do_nothing_is_not_signed_in(sessions: BrowserSessions) -> None:
    nobody = Identity(client="oidc:bob", display="Bob", via="oidc", auth_time=NOW)

    with pytest.raises(NotPermitted):
        sessions.begin(nobody)
    assert sessions.page(limit=10) == ([], None)


def test_sessions_are_listed_in_pages_without_those_that_have_ended(sessions: BrowserSessions, client: Any) -> None:
    begun = sorted((sessions.begin(ANNA)[1] for _ in range(5)), key=lambda session: session.session_id)
    sessions.end(begun[1].session_id)
    client.delete(keys.browser_session(begun[2].session_id))

    first, after = sessions.page(limit=2)
    assert after
    second, last = sessions.page(after=after, limit=10)

    assert [*first, *second] == [begun[0], begun[3], begun[4]]
    assert last is None
    assert client.zcard(keys.SESSIONS) == 3


def test_only_the_first_return_of_a_browser_gets_its_sign_in(client: Any) -> None:
    logins = RedisPendingLoginStore(client)
    login = PendingLogin(nonce="n", verifier="v", to="/app", redirect_uri="https://b/app/callback", browser="h")
    logins.put("state", login, ttl=MINUTE)

    assert 0 < client.pttl(keys.pending_login("state")) <= 60_000
    assert logins.take("state") == login
    assert logins.take("state") is None
    assert logins.take("other") is None


def test_own_keys_are_those_of_the_client_alone(api_keys: RedisApiKeyStore) -> None:
    for name in ("nightly", "other"):
        api_keys.put_client(Client(name=name))
        api_keys.add_key(name, new_key(), now=NOW, expires_at=None)

    assert [key.client for key in api_keys.keys_of("nightly")] == ["nightly"]
