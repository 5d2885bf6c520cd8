# SPDX-License-Identifier: Apache-2.0
"""The clients and their API keys in Redis. The contract is `bridge.auth.api_keys.ApiKeyStore`.

Three hashes: ``bridge:clients``, name -> permissions and limits; ``bridge:keys``, key id -> client, hash or encrypted
secret, creation and expiry; ``bridge:keys:used``, key id -> last use (s).
"""

import datetime as dt
import hmac
from collections.abc import Callable, Collection
from functools import cached_property, partial
from typing import Any

import msgspec
import redis

from bridge.auth.api_keys import (
    MAX_KEYS,
    AccessKey,
    ApiKey,
    SecretUnreadable,
    StoredClient,
    TooManyKeys,
    UnknownClient,
    is_access_key_id,
    new_access_key,
)
from bridge.auth.encryption import Cipher, Undecryptable
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import load
from schemas.client import Client, KeyDocument

_CLIENTS, _KEYS, _USED = keys.CLIENTS, keys.API_KEYS, keys.API_KEYS_USED
#: How long the claim to remove an administrator counts as its removal, so that no two claims remove the last one.
_CLAIM_TTL_S = 24 * 3600


class _StoredKey(msgspec.Struct, frozen=True, array_like=True):
    client: str
    digest: bytes
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    #: Only of an access key, which signs requests and has no digest.
    encrypted_secret: bytes = b""

    def is_valid(self, now: dt.datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


class RedisApiKeyStore:
    """See `bridge.auth.api_keys.ApiKeyStore` for every promise."""

    def __init__(self, client: redis.Redis, cipher: Cipher | None = None) -> None:
        """``cipher`` encrypts access keys. Without it, methods that need their secrets raise ``AssertionError``."""
        self._client: Any = client
        self._optional_cipher = cipher
        self._replace_field = load(client, "replace_field")
        self._claim_removal = load(client, "claim_removal")

    def client_of(self, key: ApiKey, *, now: dt.datetime) -> Client | None:
        """Return the client of a valid API key."""
        with store_errors():
            packed = self._client.hget(_KEYS, key.key_id)
            stored = _unpack_key(packed) if packed else None
            # An unknown id is compared, too: the time must not reveal which ids exist.
            is_equal = hmac.compare_digest(key.digest, stored.digest if stored else bytes(32))
            if not (stored and is_equal and stored.is_valid(now)):
                return None
            packed_client = self._client.hget(_CLIENTS, stored.client)
            self._client.hset(_USED, key.key_id, round(now.timestamp()))
        return _unpack_client(packed_client) if packed_client else None

    def client(self, name: str) -> Client | None:
        """Return the client of this name."""
        with store_errors():
            packed = self._client.hget(_CLIENTS, name)
        return _unpack_client(packed) if packed else None

    def secret_of(self, access_key_id: str, *, now: dt.datetime) -> str | None:
        """Return the secret of a valid access key."""
        with store_errors():
            packed = self._client.hget(_KEYS, access_key_id)
        stored = _unpack_key(packed) if packed else None
        if stored and stored.encrypted_secret and stored.is_valid(now):
            return self._secret(access_key_id, stored)
        # An unknown id costs a decryption, too: the time must not reveal which ids exist.
        self._secret(*self._decoy)
        return None

    def use_access_key(self, access_key_id: str, *, now: dt.datetime) -> Client | None:
        """Return the client of an access key after its signature was verified."""
        with store_errors():
            packed = self._client.hget(_KEYS, access_key_id)
            packed_client = self._client.hget(_CLIENTS, _unpack_key(packed).client) if packed else None
            if packed_client:
                self._client.hset(_USED, access_key_id, round(now.timestamp()))
        return _unpack_client(packed_client) if packed_client else None

    def owner(self, key_id: str, *, now: dt.datetime) -> Client | None:
        """Return the client that has this key."""
        with store_errors():
            packed = self._client.hget(_KEYS, key_id)
            stored = _unpack_key(packed) if packed else None
            return self.client(stored.client) if stored and stored.is_valid(now) else None

    def keys_of(self, client: str) -> list[KeyDocument]:
        """Return what may be shown of a client's keys."""
        return [key for key in self.keys() if key.client == client]

    def stored_client(self, name: str) -> StoredClient | None:
        """Return the client of this name with its version."""
        with store_errors():
            packed = self._client.hget(_CLIENTS, name)
        return StoredClient(_unpack_client(packed), packed) if packed else None

    def stored_clients(self) -> list[StoredClient]:
        """Return all clients with their versions."""
        with store_errors():
            clients = [StoredClient(_unpack_client(packed), packed) for packed in self._client.hvals(_CLIENTS)]
        return sorted(clients, key=lambda stored: stored.client.name)

    def replace(self, client: Client, *, was: StoredClient | None) -> bool:
        """Store a client if it is still as it was."""
        packed = msgspec.msgpack.encode(client)
        with store_errors():
            return self._replace_unchanged(_CLIENTS, client.name, was.packed if was else b"", packed)

    def delete(self, was: StoredClient) -> bool:
        """Delete a client with all its keys if it is still as it was."""
        name = was.client.name
        # The client loses its permissions first: if the deletion is interrupted, its keys work for nothing, and the
        # client is still listed.
        without_scopes = msgspec.msgpack.encode(Client(name=name, scopes=()))
        with store_errors():
            if not self._replace_unchanged(_CLIENTS, name, was.packed, without_scopes):
                return False
            self._delete_keys(name)
            if not _is_client_of_tokens(name):
                self._replace_unchanged(_CLIENTS, name, without_scopes, b"")
        return True

    def delete_key(self, key_id: str) -> bool:
        """Delete a key."""
        with store_errors():
            existed = self._client.hdel(_KEYS, key_id)
            self._client.hdel(_USED, key_id)
        return bool(existed)

    def claim_removal(self, credentials: Collection[str], *, remaining: Collection[str]) -> bool:
        """Claim that credentials are about to end, if another one remains."""
        with store_errors():
            arguments: list[str | int] = [_CLAIM_TTL_S, len(credentials), *credentials, *remaining]
            return bool(self._claim_removal([keys.REMOVED_ADMINISTRATORS], arguments))

    def withdraw_removal(self, credentials: Collection[str]) -> None:
        """Withdraw claims."""
        if credentials:
            with store_errors():
                self._client.zrem(keys.REMOVED_ADMINISTRATORS, *credentials)

    def put_client(self, client: Client) -> None:
        """Store a client's permissions and limits."""
        with store_errors():
            self._client.hset(_CLIENTS, client.name, msgspec.msgpack.encode(client))

    def add_key(
        self, client: str, key: ApiKey | AccessKey, *, now: dt.datetime, expires_at: dt.datetime | None
    ) -> None:
        """Store a new key of a client."""
        with store_errors():
            if not self._client.hexists(_CLIENTS, client):
                raise UnknownClient(client)
            valid = [stored for _, stored in self._keys_of_same_kind(client, key.key_id) if stored.is_valid(now)]
            if len(valid) >= MAX_KEYS:
                raise TooManyKeys(client)
            self._put(key.key_id, self._stored_form(client, key, now, expires_at))
            if not self._client.hexists(_CLIENTS, client):
                # Deleted in the meantime: the key must not work for a later client of this name.
                self._client.hdel(_KEYS, key.key_id)
                raise UnknownClient(client)

    def expire_others(self, client: str, key_id: str, *, at: dt.datetime) -> None:
        """Let the client's other keys of the same kind expire at this time, unless they expire earlier."""
        with store_errors():
            for other_id, stored in self._keys_of_same_kind(client, key_id):
                if other_id != key_id and stored.is_valid(at):
                    self._change_key(other_id, partial(msgspec.structs.replace, expires_at=at))

    def re_encrypt(self) -> int:
        """Encrypt all secrets with the first encryption key."""
        with store_errors():
            access_keys = [(key_id, stored) for key_id, stored in self._all_keys() if stored.encrypted_secret]
            for key_id, stored in access_keys:
                secret, purpose = self._secret(key_id, stored), _purpose(stored.client, key_id)
                encrypted = self._cipher.encrypt(secret, purpose=purpose)
                self._change_key(key_id, partial(msgspec.structs.replace, encrypted_secret=encrypted))
        return len(access_keys)

    def revoke(self, *, key_id: str | None = None, client: str | None = None) -> int:
        """Delete a key, or a client with all its keys."""
        with store_errors():
            revoked_ids = [each for each, stored in self._all_keys() if each == key_id or stored.client == client]
            for revoked_id in revoked_ids:
                self._client.hdel(_KEYS, revoked_id)
                self._client.hdel(_USED, revoked_id)
            if client is not None and _is_client_of_tokens(client):
                self.put_client(Client(name=client, scopes=()))
            elif client is not None:
                self._client.hdel(_CLIENTS, client)
        return len(revoked_ids)

    def clients(self) -> list[Client]:
        """Return all clients, by name."""
        with store_errors():
            clients = [_unpack_client(packed) for packed in self._client.hgetall(_CLIENTS).values()]
        return sorted(clients, key=lambda client: client.name)

    def keys(self) -> list[KeyDocument]:
        """Return all keys without their secrets."""
        with store_errors():
            used = self._client.hgetall(_USED)
            documents = [
                KeyDocument(
                    key_id=key_id,
                    client=stored.client,
                    created_at=stored.created_at,
                    expires_at=stored.expires_at,
                    last_used_at=_last_use(used.get(key_id.encode())),
                )
                for key_id, stored in self._all_keys()
            ]
        return sorted(documents, key=lambda key: (key.client, key.created_at))

    def _secret(self, key_id: str, stored: _StoredKey) -> str:
        try:
            return self._cipher.decrypt(stored.encrypted_secret, purpose=_purpose(stored.client, key_id))
        except Undecryptable as error:
            raise SecretUnreadable(key_id) from error

    @cached_property
    def _decoy(self) -> tuple[str, _StoredKey]:
        """An access key of no client, to be decrypted for an unknown id."""
        key = new_access_key()
        return key.key_id, self._stored_form("", key, dt.datetime.now(dt.UTC), None)

    @property
    def _cipher(self) -> Cipher:
        if self._optional_cipher is None:
            raise AssertionError("the store was built without a cipher; access keys need one")
        return self._optional_cipher

    def _keys_of_same_kind(self, client: str, key_id: str) -> list[tuple[str, _StoredKey]]:
        """Return the client's API keys, or its access keys, whichever ``key_id`` is."""
        kind = is_access_key_id(key_id)
        return [
            (each, stored)
            for each, stored in self._all_keys()
            if stored.client == client and is_access_key_id(each) == kind
        ]

    def _all_keys(self) -> list[tuple[str, _StoredKey]]:
        return [(key_id.decode(), _unpack_key(packed)) for key_id, packed in self._client.hgetall(_KEYS).items()]

    def _stored_form(
        self, client: str, key: ApiKey | AccessKey, now: dt.datetime, expires_at: dt.datetime | None
    ) -> _StoredKey:
        match key:
            case ApiKey():
                return _StoredKey(client, key.digest, now, expires_at)
            case AccessKey():
                encrypted = self._cipher.encrypt(key.secret, purpose=_purpose(client, key.key_id))
                return _StoredKey(client, b"", now, expires_at, encrypted)

    def _put(self, key_id: str, stored: _StoredKey) -> None:
        self._client.hset(_KEYS, key_id, msgspec.msgpack.encode(stored))

    def _change_key(self, key_id: str, change: Callable[[_StoredKey], _StoredKey]) -> None:
        """Change a key. One that is revoked in the meantime stays so."""
        while packed := self._client.hget(_KEYS, key_id):
            changed = msgspec.msgpack.encode(change(_unpack_key(packed)))
            if self._replace_unchanged(_KEYS, key_id, packed, changed):
                return

    def _replace_unchanged(self, hash_key: str, field: str, expected: bytes, replacement: bytes) -> bool:
        """Replace a field that still has the expected value; return whether it had. Empty stands for no field."""
        return bool(self._replace_field([hash_key], [field, expected, replacement]))

    def _delete_keys(self, client: str) -> None:
        for key_id, stored in self._all_keys():
            if stored.client == client:
                self._client.hdel(_KEYS, key_id)
                self._client.hdel(_USED, key_id)


def _is_client_of_tokens(name: str) -> bool:
    """Return whether the client has tokens, not keys. Without an entry, it would have the permissions of its token."""
    return ":" in name


def _purpose(client: str, key_id: str) -> str:
    """Return what a secret is encrypted for: it can't be decrypted as that of another key or client."""
    # Neither id nor name holds a space.
    return f"sigv4 {key_id} {client}"


def _last_use(seconds: bytes | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(int(seconds), dt.UTC)


_unpack_key = msgspec.msgpack.Decoder(_StoredKey).decode
_unpack_client = msgspec.msgpack.Decoder(Client).decode
