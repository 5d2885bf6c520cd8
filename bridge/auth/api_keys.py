# SPDX-License-Identifier: Apache-2.0
"""API keys: how one looks, and the port to those that are known.

A key is ``mbk_<id>_<secret>``. The id, ten letters and digits, may be shown and logged. The secret has 256 random bits
and is shown once; what is kept is a SHA-256 hash of it, which needs no salt and no slow function, for nobody can guess
his way to 256 bits. A client may have two live keys at a time, so that one can be replaced without a gap.

For clients that sign with AWS Signature Version 4 there are access keys: an id of the form that AWS's SDKs take, and a
secret of as many bits. To judge a signature the secret must be known, so it is kept encrypted. In all
else they are keys like the others; of each kind a client may have two.
"""

import datetime as dt
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from schemas.client import Client, KeyDocument

#: Whatever begins so is meant to be a key.
KEY_PREFIX = "mbk_"
_KEY = re.compile(KEY_PREFIX + r"([a-z0-9]{10})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ACCESS_KEY_ID = re.compile(r"MBKA[A-Z0-9]{16}")

#: How many keys of a client, of each kind, may be live at a time.
MOST_KEYS = 2


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its client has it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What the client sends."""
        return f"{KEY_PREFIX}{self.key_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """What is kept of it."""
        return hashlib.sha256(self.text.encode()).digest()


def new_key() -> ApiKey:
    """Return a key that nobody has had before."""
    return ApiKey(_letters(10), secrets.token_urlsafe(32))


def read_key(text: str) -> ApiKey | None:
    """Return the key that a text is, None if it is none: such a one is refused without asking the store."""
    found = _KEY.fullmatch(text)
    return ApiKey(found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key to sign with, as its client has it."""

    key_id: str
    secret: str = field(repr=False)


def new_access_key() -> AccessKey:
    """Return a key to sign with that nobody has had before."""
    return AccessKey("MBKA" + _letters(16).upper(), secrets.token_urlsafe(32))


def is_access_key_id(text: str) -> bool:
    """Return whether a text is the id of a key to sign with, of ours and not of AWS's."""
    return bool(_ACCESS_KEY_ID.fullmatch(text))


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


class TooManyKeys(Exception):
    """The client has as many live keys as it may have; one must be revoked first."""


class UnknownClient(Exception):
    """There is no client of this name."""


class SecretUnreadable(Exception):
    """None of the encryption keys at hand opens the secret of this key."""


class ApiKeyStore(Protocol):
    """The clients that are known, and their keys. Every method raises ``StoreUnavailable``."""

    def client_of(self, key: ApiKey, *, now: dt.datetime) -> Client | None:
        """Return whose key this is, None if it is nobody's, or expired, or revoked."""
        ...

    def client(self, name: str) -> Client | None:
        """Return the client of this name, None if there is none."""
        ...

    def put_client(self, client: Client) -> None:
        """Note what a client may do; one that is known may do this from now on."""
        ...

    def secret_of(self, access_key_id: str, *, now: dt.datetime) -> str | None:
        """Return the secret of a key to sign with, None if there is none such, or it is expired or revoked.

        Raises ``SecretUnreadable``. Known or not, it takes as long.
        """
        ...

    def client_signed(self, access_key_id: str, *, now: dt.datetime) -> Client | None:
        """Return whose this key to sign with is, and note that it was used. To be asked once a signature was right."""
        ...

    def add_key(
        self, client: str, key: ApiKey | AccessKey, *, now: dt.datetime, expires_at: dt.datetime | None
    ) -> None:
        """Give a client a key, or raise ``UnknownClient`` or ``TooManyKeys``."""
        ...

    def expire_others(self, client: str, key_id: str, *, at: dt.datetime) -> None:
        """Have the client's other keys of this one's kind end at this time, if they don't earlier."""
        ...

    def re_encrypt(self) -> int:
        """Encrypt all secrets with the first encryption key; return how many. Raises ``SecretUnreadable``."""
        ...

    def revoke(self, *, key_id: str | None = None, client: str | None = None) -> int:
        """Forget a key, or a client with all its keys; return how many keys that were."""
        ...

    def clients(self) -> list[Client]:
        """Return all clients, by name."""
        ...

    def keys(self) -> list[KeyDocument]:
        """Return what may be shown of all keys, by client and age."""
        ...
