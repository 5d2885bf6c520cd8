# SPDX-License-Identifier: Apache-2.0
"""API keys and access keys of clients: their format, and the port to their store.

An API key is ``mbk_<id>_<secret>``. The id, ten letters and digits, may be shown and logged. The secret has 256 random
bits and is shown once. The store keeps its SHA-256 hash, without salt or a slow function, because 256 random bits can't
be guessed. A client may have two live keys at a time, so that one can be replaced without downtime.

Clients that sign with AWS Signature Version 4 use access keys: an id in the format of AWS's SDKs, and a secret of 256
random bits. A signature can only be verified with the secret, so the store keeps it encrypted. A client may have two
live keys of each kind.
"""

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from schemas.client import Client, KeyDocument

#: The prefix of every API key.
KEY_PREFIX = "mbk_"
_API_KEY = re.compile(KEY_PREFIX + r"([a-z0-9]{10})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ACCESS_KEY_ID = re.compile(r"MBKA[A-Z0-9]{16}")
#: Random bytes of a secret, which base64 encodes as 43 characters.
_SECRET_BYTES = 32

#: Live keys of a client, of each kind.
MAX_KEYS = 2


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as its client holds it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The text that the client sends."""
        return f"{KEY_PREFIX}{self.key_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """The SHA-256 hash that the store keeps."""
        return hashlib.sha256(self.text.encode()).digest()


def new_key() -> ApiKey:
    """Return a new random API key."""
    return ApiKey(_random_characters(10), secrets.token_urlsafe(_SECRET_BYTES))


def read_key(text: str) -> ApiKey | None:
    """Parse an API key. Return None for any other text, which is rejected without a lookup."""
    match = _API_KEY.fullmatch(text)
    return ApiKey(match[1], match[2]) if match else None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key for AWS Signature Version 4, as its client holds it."""

    key_id: str
    secret: str = field(repr=False)


def new_access_key() -> AccessKey:
    """Return a new random access key."""
    return AccessKey("MBKA" + _random_characters(16).upper(), secrets.token_urlsafe(_SECRET_BYTES))


def is_access_key_id(text: str) -> bool:
    """Return whether a text is an access key id of the bridge, and not one of AWS."""
    return bool(_ACCESS_KEY_ID.fullmatch(text))


class TooManyKeys(Exception):
    """The client has the maximum of live keys of this kind; one must be revoked first."""


class UnknownClient(Exception):
    """No client has this name."""


class SecretUnreadable(Exception):
    """No configured encryption key decrypts the secret of this access key."""


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client as it is in the store. A later change requires that the store still holds this version."""

    client: Client
    #: The bytes of the client in the store.
    packed: bytes = field(repr=False)

    @property
    def etag(self) -> str:
        """The entity tag of this version (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.blake2b(self.packed, digest_size=12).hexdigest()}"'


class ApiKeyStore(Protocol):
    """The clients and their keys. Every method raises ``StoreUnavailable``."""

    def client_of(self, key: ApiKey, *, now: dt.datetime) -> Client | None:
        """Return the client that owns a key, None if the key is unknown, expired or revoked."""
        ...

    def client(self, name: str) -> Client | None:
        """Return the client of this name, None if there is none."""
        ...

    def owner(self, key_id: str, *, now: dt.datetime) -> Client | None:
        """Return the client that has this key, None if the key is expired or revoked. Does not check the secret."""
        ...

    def keys_of(self, client: str) -> list[KeyDocument]:
        """Return the public fields of a client's keys, by age."""
        ...

    def stored_client(self, name: str) -> StoredClient | None:
        """Return the client of this name with its version, None if there is none."""
        ...

    def stored_clients(self) -> list[StoredClient]:
        """Return all clients with their versions, by name."""
        ...

    def replace(self, client: Client, *, was: StoredClient | None) -> bool:
        """Store a client if the store still holds the version ``was`` (None: no client). Return whether it did."""
        ...

    def delete(self, was: StoredClient) -> bool:
        """Delete a client with all its keys if the store still holds the version ``was``. Return whether it did.

        A client of tokens stays as an entry without permissions: without one, its token's permissions would apply.
        """
        ...

    def delete_key(self, key_id: str) -> bool:
        """Delete a key and return whether it existed."""
        ...

    def claim_removal(self, credentials: Collection[str], *, remaining: Collection[str]) -> bool:
        """Claim that administrators' credentials are about to end, if an unclaimed one remains. Return whether it does.

        Atomic: of two claims that would leave none together, one fails. A claim lasts for a day.
        """
        ...

    def withdraw_removal(self, credentials: Collection[str]) -> None:
        """Withdraw the claims on these credentials, which remain."""
        ...

    def put_client(self, client: Client) -> None:
        """Create a client, or replace its permissions and limits."""
        ...

    def secret_of(self, access_key_id: str, *, now: dt.datetime) -> str | None:
        """Return the secret of an access key, None if the key is unknown, expired or revoked.

        Takes the same time in each case. Raises ``SecretUnreadable``.
        """
        ...

    def use_access_key(self, access_key_id: str, *, now: dt.datetime) -> Client | None:
        """Record a use of an access key, after its signature was verified, and return its client.

        None if the key is unknown, expired or revoked.
        """
        ...

    def add_key(
        self, client: str, key: ApiKey | AccessKey, *, now: dt.datetime, expires_at: dt.datetime | None
    ) -> None:
        """Add a key of a client, or raise ``UnknownClient`` or ``TooManyKeys``."""
        ...

    def expire_others(self, client: str, key_id: str, *, at: dt.datetime) -> None:
        """Let the client's other keys of the same kind expire at this time, or earlier if they already do."""
        ...

    def re_encrypt(self) -> int:
        """Encrypt all secrets with the first encryption key and return their number. Raises ``SecretUnreadable``."""
        ...

    def revoke(self, *, key_id: str | None = None, client: str | None = None) -> int:
        """Delete a key, or a client with all its keys, and return the number of deleted keys."""
        ...

    def clients(self) -> list[Client]:
        """Return all clients, by name."""
        ...

    def keys(self) -> list[KeyDocument]:
        """Return the public fields of all keys, by client and age."""
        ...


def _random_characters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
