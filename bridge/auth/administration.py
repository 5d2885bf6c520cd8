# SPDX-License-Identifier: Apache-2.0
"""Changes of clients and their keys, by the rules that hold for the command line and for HTTP.

* No change takes away the last administrator: a client with the scope of operators that can still authenticate.
* No client takes away its own administration.
* A change applies to the version that its author has seen.

An administrator's *credentials* are the ids of its live keys, or for a client of tokens its name. Clients and keys lie
in different slots of a cluster, so a removal first claims the credentials that it ends. Of two claims that would leave
none together, one fails. docs/adr/0029-clients-and-keys-over-http.md
"""

import datetime as dt
from collections.abc import Sequence
from typing import NoReturn

from bridge.auth.api_keys import (
    AccessKey,
    ApiKey,
    ApiKeyStore,
    StoredClient,
    UnknownClient,
    is_access_key_id,
    new_access_key,
    new_key,
)
from bridge.process.clock import Clock
from schemas.client import Client, KeyDocument, Rule

_MANAGE_CLIENTS, _MANAGE_KEYS = Rule("ManageClients"), Rule("ManageKeys")


class LastAdministrator(Exception):
    """The change would leave no client that may manage clients and can authenticate."""


class OwnAdministration(Exception):
    """The client would take away its own administration."""


class ChangedMeanwhile(Exception):
    """The client has changed since its version was read."""


class UnknownKey(Exception):
    """No live key has this id."""


class Administration:
    """Changes clients and keys. Every method raises ``StoreUnavailable``.

    ``actor`` is the client that requests the change; None for a command at the store, which has no client of its own.
    ``force`` permits the removal of the last administrator.
    """

    def __init__(self, store: ApiKeyStore, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    def put(
        self, client: Client, *, was: StoredClient | None, actor: Client | None = None, force: bool = False
    ) -> StoredClient:
        """Store a client with its permissions and return it as stored. ``was`` is the version that the author has seen.

        Raises ``ChangedMeanwhile``, ``LastAdministrator`` or ``OwnAdministration``.
        """
        _check_own_administration(client.name, client, actor)
        was_administrator, is_administrator = bool(was and may_administer(was.client)), may_administer(client)
        if was and was_administrator and not is_administrator:
            self._claim_removal_of(was, force=force)
        if not self.store.replace(client, was=was):
            raise ChangedMeanwhile(client.name)
        if is_administrator and not was_administrator:
            self.store.withdraw_removal(self._credentials_of(client.name))
        return self.store.stored_client(client.name) or _raise(ChangedMeanwhile(client.name))

    def delete(self, was: StoredClient, *, actor: Client | None = None, force: bool = False) -> None:
        """Delete a client with all its keys. Raises as `put` does."""
        _check_own_administration(was.client.name, None, actor)
        if may_administer(was.client):
            self._claim_removal_of(was, force=force)
        if not self.store.delete(was):
            raise ChangedMeanwhile(was.client.name)

    def revoke(self, key_id: str, *, actor: Client | None = None, force: bool = False) -> None:
        """Delete a key. Raises ``UnknownKey``, ``LastAdministrator`` or ``OwnAdministration``."""
        key = self.key(key_id) or _raise(UnknownKey(key_id))
        owner = self.store.client(key.client)
        is_own_key = actor is not None and actor.name == key.client
        if is_own_key and not set(self._credentials_of(key.client)) - {key_id}:
            raise OwnAdministration("This is the last live key of the client that asks. Create another one first.")
        if owner and may_administer(owner) and self._is_live(key) and not force:
            self._claim_removal([key_id])
        if not self.store.delete_key(key_id):
            raise UnknownKey(key_id)

    def issue(self, client: str, key: ApiKey | AccessKey, *, expires_at: dt.datetime | None) -> KeyDocument:
        """Add a key of a client. Raises ``UnknownClient`` or ``TooManyKeys``."""
        now = self._clock.now()
        self.store.add_key(client, key, now=now, expires_at=expires_at)
        return KeyDocument(key_id=key.key_id, client=client, created_at=now, expires_at=expires_at)

    def rotate(
        self, key_id: str, key: ApiKey | AccessKey, *, overlap: dt.timedelta, expires_at: dt.datetime | None
    ) -> KeyDocument:
        """Add a key in place of a live one, which stays valid for the time ``overlap``.

        Raises ``UnknownKey`` or ``TooManyKeys``.
        """
        old = self.live_key(key_id) or _raise(UnknownKey(key_id))
        try:
            new = self.issue(old.client, key, expires_at=expires_at)
        except UnknownClient as error:
            raise UnknownKey(key_id) from error
        self.store.expire_others(old.client, key.key_id, at=self._clock.now() + overlap)
        return new

    def key(self, key_id: str) -> KeyDocument | None:
        """Return a key without its secret, None if there is none with this id."""
        documents = self.store.keys()
        return next((key for key in documents if key.key_id == key_id), None)

    def live_key(self, key_id: str) -> KeyDocument | None:
        """Return a key that is not expired, without its secret."""
        key = self.key(key_id)
        return key if key and self._is_live(key) else None

    def _credentials_of(self, name: str) -> list[str]:
        """Return the ids of a client's live keys, or the name of a client of tokens, which holds a colon."""
        if ":" in name:
            return [name]
        return [key.key_id for key in self.store.keys_of(name) if self._is_live(key)]

    def _administrators_credentials(self) -> list[str]:
        administrators = {client.name for client in self.store.clients() if may_administer(client)}
        documents = self.store.keys()
        keys = [key.key_id for key in documents if key.client in administrators and self._is_live(key)]
        return [*keys, *(name for name in administrators if ":" in name)]

    def _claim_removal_of(self, was: StoredClient, *, force: bool) -> None:
        """Claim the end of all credentials of an administrator.

        Raises ``ChangedMeanwhile`` or ``LastAdministrator``.
        """
        name = was.client.name
        if self.store.stored_client(name) != was:
            raise ChangedMeanwhile(name)
        credentials = self._credentials_of(name)
        if credentials and not force:
            self._claim_removal(credentials)

    def _claim_removal(self, credentials: Sequence[str]) -> None:
        """Claim the end of an administrator's credentials, or raise ``LastAdministrator``.

        A claim stays if the change fails, because the change may still be under way. A claim ends after a day. Until
        then its credentials do not count as remaining ones.
        """
        remaining = [credential for credential in self._administrators_credentials() if credential not in credentials]
        if not remaining or not self.store.claim_removal(credentials, remaining=remaining):
            raise LastAdministrator

    def _is_live(self, key: KeyDocument) -> bool:
        return key.expires_at is None or key.expires_at > self._clock.now()


def may_administer(client: Client) -> bool:
    """Return whether a client is an administrator: an operator that may manage all clients and their keys."""
    return client.is_operator and client.may(_MANAGE_CLIENTS) and client.may(_MANAGE_KEYS)


def new_key_like(key_id: str) -> ApiKey | AccessKey:
    """Return a new random key of the same kind as another."""
    return new_access_key() if is_access_key_id(key_id) else new_key()


def _check_own_administration(name: str, changed: Client | None, actor: Client | None) -> None:
    """Raise ``OwnAdministration`` if the actor would lose its administration. ``changed`` is None for a deletion."""
    if actor is None or actor.name != name:
        return
    rules = [rule for rule in (_MANAGE_CLIENTS, _MANAGE_KEYS) if actor.may(rule)]
    keeps_scope = changed is not None and (changed.is_operator or not actor.is_operator)
    if changed is None or not keeps_scope or not all(changed.may(rule) for rule in rules):
        raise OwnAdministration("This would take away the administration of the client that asks.")


def _raise(error: Exception) -> NoReturn:
    raise error
