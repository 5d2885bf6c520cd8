# SPDX-License-Identifier: Apache-2.0
"""Browser sessions: the client that has signed in with a browser, by the random value of a cookie.

The cookie holds 32 random bytes and nothing else. The store keeps the session under their SHA-256 hash, which is also
the session's id: it can be shown and logged, and no cookie can be made of it. The client's permissions are no part of a
session. The permissions are looked up at each request, so a revoked key ends its session, too.
"""

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from bridge.auth.api_keys import ApiKeyStore, read_key
from bridge.errors import StoreUnavailable
from bridge.process.clock import Clock
from schemas.client import Client, Scope

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
#: How often the time of the last request is stored, so that a page that polls costs no write each time.
_SEEN_INTERVAL = dt.timedelta(minutes=1)


class BrowserSession(msgspec.Struct, frozen=True, kw_only=True):
    """One browser that has signed in."""

    session_id: str
    client: str
    #: What people read in place of the client's name.
    display: str
    #: ``key`` or ``oidc``.
    via: str
    #: When the person gave proof, which at a provider may be earlier than the session.
    auth_time: dt.datetime
    created_at: dt.datetime
    seen_at: dt.datetime
    #: The absolute limit; the session may end earlier, by the idle limit.
    ends_at: dt.datetime
    #: The key that has signed in. Its session ends with it.
    key_id: str | None = None
    #: The scopes that the provider's roles grant; a stored client of this name takes precedence.
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The client that has just signed in, and how."""

    client: str
    display: str
    via: str
    auth_time: dt.datetime
    key_id: str | None = None
    scopes: tuple[Scope, ...] = ()
    #: The session ends at this time at the latest.
    ends_at: dt.datetime | None = None


class NotPermitted(Exception):
    """The credentials are valid, but the client has no permission here, so it is not signed in."""


class SessionStore(Protocol):
    """The live sessions. All methods raise ``StoreUnavailable``."""

    def put(self, session: BrowserSession, *, ttl: dt.timedelta) -> None:
        """Store a new session, which expires after ``ttl``."""
        ...

    def get(self, session_id: str) -> BrowserSession | None:
        """Return a session, None if it has ended."""
        ...

    def touch(self, session: BrowserSession, *, ttl: dt.timedelta) -> None:
        """Replace a session and its expiry. One that has ended in the meantime stays ended."""
        ...

    def end(self, session_id: str) -> BrowserSession | None:
        """End a session and return what it was, None if it had ended."""
        ...

    def page(self, *, after: str, limit: int) -> tuple[Sequence[BrowserSession], str | None]:
        """Return live sessions with ids after this one, in order, and the id to continue after; None at the end."""
        ...


class BrowserSessions:
    """Begins, finds and ends sessions."""

    def __init__(
        self,
        store: SessionStore,
        api_keys: ApiKeyStore,
        clock: Clock,
        *,
        idle_timeout: dt.timedelta,
        max_age: dt.timedelta,
    ) -> None:
        self._store = store
        self._api_keys = api_keys
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._max_age = max_age

    def begin(self, identity: Identity) -> tuple[str, BrowserSession, Client]:
        """Return the value of a new session's cookie, the session and its client, or raise ``NotPermitted``.

        Each sign-in has a new value, so a value that was planted in a browser is worthless (session fixation).
        """
        now, token = self._clock.now(), secrets.token_urlsafe(32)
        ends_at = now + self._max_age
        session = BrowserSession(
            session_id=session_id_of(token),
            client=identity.client,
            display=identity.display,
            via=identity.via,
            auth_time=identity.auth_time,
            created_at=now,
            seen_at=now,
            ends_at=min(ends_at, identity.ends_at or ends_at),
            key_id=identity.key_id,
            scopes=identity.scopes,
        )
        client = self._client_of(session)
        if client is None:
            raise NotPermitted(identity.client)
        self._store.put(session, ttl=self._ttl(session))
        return token, session, client

    def find(self, token: str) -> tuple[BrowserSession, Client] | None:
        """Return the session of a cookie and its client with its present permissions, None if the session has ended."""
        session = self._store.get(session_id_of(token)) if is_session_token(token) else None
        if session is None or not self._is_live(session):
            return None
        client = self._client_of(session)
        return (self._mark_seen(session), client) if client else None

    def end(self, session_id: str) -> BrowserSession | None:
        """End a session and return what it was, None if it had ended."""
        return self._store.end(session_id)

    def page(self, *, after: str = "", limit: int) -> tuple[Sequence[BrowserSession], str | None]:
        """Return live sessions with ids after this one, in order, and the id to continue after; None at the end."""
        sessions, last_id = self._store.page(after=after, limit=limit)
        return [session for session in sessions if self._is_live(session)], last_id

    def _mark_seen(self, session: BrowserSession) -> BrowserSession:
        """Store the time of this request, at most once a minute, and return the session as it is then."""
        now = self._clock.now()
        if now - session.seen_at < _SEEN_INTERVAL:
            return session
        session = msgspec.structs.replace(session, seen_at=now)
        # A full store serves reads and rejects this write: the session then ends a little earlier.
        with suppress(StoreUnavailable):
            self._store.touch(session, ttl=self._ttl(session))
        return session

    def _is_live(self, session: BrowserSession) -> bool:
        # The store expires sessions by its own clock, which may differ from this one.
        now = self._clock.now()
        return now < session.ends_at and now < session.seen_at + self._idle_timeout

    def _client_of(self, session: BrowserSession) -> Client | None:
        if session.key_id is not None:
            client = self._api_keys.owner(session.key_id, now=self._clock.now())
        else:
            granted = Client(name=session.client, scopes=session.scopes)
            # A stored client takes precedence over the roles of the provider.
            client = self._api_keys.client(session.client) or granted
        if client is None or not (client.scopes or client.allow):
            return None
        return client

    def _ttl(self, session: BrowserSession) -> dt.timedelta:
        return min(self._idle_timeout, session.ends_at - self._clock.now())


def identity_of_key(api_keys: ApiKeyStore, text: str, *, now: dt.datetime) -> Identity | None:
    """Return the identity that signs in with an API key, None if the key is invalid."""
    key = read_key(text)
    client = api_keys.client_of(key, now=now) if key else None
    if key is None or client is None:
        return None
    keys = api_keys.keys_of(client.name)
    ends_at = next((document.expires_at for document in keys if document.key_id == key.key_id), None)
    return Identity(
        client=client.name, display=client.name, via="key", auth_time=now, key_id=key.key_id, ends_at=ends_at
    )


def session_id_of(token: str) -> str:
    """Return the id of the session with this cookie value."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_session_token(text: str) -> bool:
    """Return whether a text can be the value of a session's cookie. Others are rejected without a lookup."""
    return bool(_TOKEN.fullmatch(text))


def without_admin(client: Client) -> Client:
    """Return the client without the scope of operators, and with all that other clients may have."""
    if not client.is_operator:
        return client
    return msgspec.structs.replace(client, scopes=(Scope.WRITE, Scope.READ))
