# SPDX-License-Identifier: Apache-2.0
"""The clients and their keys in Redis. The contract is `bridge.auth.api_keys.Keyring`.

``bridge:clients`` is a hash, name -> what the client may do; ``bridge:keys`` one, id -> whose the key is, its hash,
or its encrypted secret, when it was made and ends; ``bridge:keys:used`` one, id -> when the key was last used.
"""

import datetime as dt
import hmac
from functools import cached_property
from typing import Any

import msgspec
import redis

from bridge.auth.api_keys import (
    MAX_KEYS,
    AccessKey,
    ApiKey,
    SecretUnreadable,
    TooManyKeys,
    UnknownClient,
    is_access_key_id,
    new_access_key,
)
from bridge.auth.encryption import Cipher, Undecryptable
from bridge.redis_store.client import store_errors
from schemas.client import Client, KeyDocument

_CLIENTS, _KEYS, _USED = "bridge:clients", "bridge:keys", "bridge:keys:used"


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    client: str
    digest: bytes
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    #: Of a key to sign with: its secret, encrypted. It has no digest.
    sealed: bytes = b""

    def is_live(self, now: dt.datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


class RedisApiKeyStore:
    """See `bridge.auth.api_keys.Keyring` for every promise."""

    def __init__(self, client: redis.Redis, cipher: Cipher | None = None) -> None:
        """Take the cipher of secrets to sign with; without one, no method may be asked that is about such keys."""
        self._client: Any = client
        self._given = cipher

    def client_of(self, key: ApiKey, *, now: dt.datetime) -> Client | None:
        """Return whose key this is."""
        with store_errors():
            packed = self._client.hget(_KEYS, key.key_id)
            stored = _unpack(packed) if packed else None
            # Compared even with nothing: the time that it takes must not tell which ids there are.
            equal = hmac.compare_digest(key.digest, stored.digest if stored else bytes(32))
            if not (stored and equal and stored.is_live(now)):
                return None
            found = self._client.hget(_CLIENTS, stored.client)
            self._client.hset(_USED, key.key_id, round(now.timestamp()))
        return _unpack_client(found) if found else None

    def client(self, name: str) -> Client | None:
        """Return the client of this name."""
        with store_errors():
            found = self._client.hget(_CLIENTS, name)
        return _unpack_client(found) if found else None

    def secret_of(self, access_key_id: str, *, now: dt.datetime) -> str | None:
        """Return the secret of a key to sign with."""
        with store_errors():
            packed = self._client.hget(_KEYS, access_key_id)
        stored = _unpack(packed) if packed else None
        known = stored is not None and bool(stored.sealed) and stored.is_live(now)
        secret = self._secret(access_key_id, stored) if known and stored else self._secret(*self._nobody)
        return secret if known else None

    def client_signed(self, access_key_id: str, *, now: dt.datetime) -> Client | None:
        """Return whose this key to sign with is."""
        with store_errors():
            packed = self._client.hget(_KEYS, access_key_id)
            found = self._client.hget(_CLIENTS, _unpack(packed).client) if packed else None
            if found:
                self._client.hset(_USED, access_key_id, round(now.timestamp()))
        return _unpack_client(found) if found else None

    def put_client(self, client: Client) -> None:
        """Note what a client may do."""
        with store_errors():
            self._client.hset(_CLIENTS, client.name, msgspec.msgpack.encode(client))

    def add_key(
        self, client: str, key: ApiKey | AccessKey, *, now: dt.datetime, expires_at: dt.datetime | None
    ) -> None:
        """Give a client a key."""
        with store_errors():
            if not self._client.hexists(_CLIENTS, client):
                raise UnknownClient(client)
            like = [stored for _, stored in self._of_kind(client, key.key_id) if stored.is_live(now)]
            if len(like) >= MAX_KEYS:
                raise TooManyKeys(client)
            self._put(key.key_id, self._stored_as(client, key, now, expires_at))

    def expire_others(self, client: str, key_id: str, *, at: dt.datetime) -> None:
        """Have the client's other keys of this one's kind end at this time, if they don't earlier."""
        with store_errors():
            for other, stored in self._of_kind(client, key_id):
                if other != key_id and stored.is_live(at):
                    self._put(other, msgspec.structs.replace(stored, expires_at=at))

    def re_encrypt(self) -> int:
        """Encrypt all secrets with the first encryption key."""
        with store_errors():
            found = [(key_id, stored) for key_id, stored in self._stored() if stored.sealed]
            for key_id, stored in found:
                key = AccessKey(key_id, self._secret(key_id, stored))
                self._put(key_id, self._stored_as(stored.client, key, stored.created_at, stored.expires_at))
        return len(found)

    def revoke(self, *, key_id: str | None = None, client: str | None = None) -> int:
        """Forget a key, or a client with all its keys."""
        with store_errors():
            gone = [each for each, stored in self._stored() if each == key_id or stored.client == client]
            for each in gone:
                self._client.hdel(_KEYS, each)
                self._client.hdel(_USED, each)
            if client is not None and ":" in client:
                # Forgotten, he would be what his token says.
                self.put_client(Client(name=client, scopes=()))
            elif client is not None:
                self._client.hdel(_CLIENTS, client)
        return len(gone)

    def clients(self) -> list[Client]:
        """Return all clients, by name."""
        with store_errors():
            found = [_unpack_client(packed) for packed in self._client.hgetall(_CLIENTS).values()]
        return sorted(found, key=lambda client: client.name)

    def keys(self) -> list[KeyDocument]:
        """Return what may be shown of all keys."""
        with store_errors():
            used = self._client.hgetall(_USED)
            found = [
                KeyDocument(
                    key_id=key_id,
                    client=stored.client,
                    created_at=stored.created_at,
                    expires_at=stored.expires_at,
                    last_used_at=_moment(used.get(key_id.encode())),
                )
                for key_id, stored in self._stored()
            ]
        return sorted(found, key=lambda key: (key.client, key.created_at))

    @property
    def _cipher(self) -> Cipher:
        if self._given is None:
            raise AssertionError("there is no cipher")
        return self._given

    @cached_property
    def _nobody(self) -> tuple[str, _Stored]:
        """Stands in for a key that there is not: the time that it takes must not tell which there are."""
        key = new_access_key()
        return key.key_id, self._stored_as("", key, dt.datetime.now(dt.UTC), None)

    def _stored_as(
        self, client: str, key: ApiKey | AccessKey, now: dt.datetime, expires_at: dt.datetime | None
    ) -> _Stored:
        match key:
            case ApiKey():
                return _Stored(client, key.digest, now, expires_at)
            case AccessKey():
                sealed = self._cipher.encrypt(key.secret, purpose=_purpose(client, key.key_id))
                return _Stored(client, b"", now, expires_at, sealed)

    def _secret(self, key_id: str, stored: _Stored) -> str:
        try:
            return self._cipher.decrypt(stored.sealed, purpose=_purpose(stored.client, key_id))
        except Undecryptable as error:
            raise SecretUnreadable(key_id) from error

    def _of_kind(self, client: str, key_id: str) -> list[tuple[str, _Stored]]:
        """Return the client's keys of the kind that this one is of."""
        kind = is_access_key_id(key_id)
        return [
            (each, stored)
            for each, stored in self._stored()
            if stored.client == client and is_access_key_id(each) == kind
        ]

    def _stored(self) -> list[tuple[str, _Stored]]:
        return [(key_id.decode(), _unpack(packed)) for key_id, packed in self._client.hgetall(_KEYS).items()]

    def _put(self, key_id: str, stored: _Stored) -> None:
        self._client.hset(_KEYS, key_id, msgspec.msgpack.encode(stored))


def _purpose(client: str, key_id: str) -> str:
    # Neither holds a space.
    return f"sigv4 {key_id} {client}"


def _moment(seconds: bytes | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(int(seconds), dt.UTC)


_unpack = msgspec.msgpack.Decoder(_Stored).decode
_unpack_client = msgspec.msgpack.Decoder(Client).decode
