# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets that must be known again, and so can't be kept as a hash: encrypted, and bound to what they are for.

AES-256-GCM with a random nonce. What a secret is for is authenticated with it, so that nobody who can write to the
store can pass one client's secret off as another's.
"""

import os
from collections.abc import Sequence
from functools import cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.config.network import DIRECT, Network
from bridge.config.parsers import encryption_keys
from bridge.errors import CannotStart
from bridge.upstream.connections import AwsSession

#: Stands first, so that another way may follow one day.
_VERSION = b"\x01"
_NONCE = 12


class Undecryptable(Exception):
    """None of the keys opens this, or it is not for this purpose."""


class Cipher:
    """Encrypts with the first of its keys, and decrypts with any: so a key is replaced without a gap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def encrypt(self, secret: str, *, purpose: str) -> bytes:
        """Return what may be kept of a secret."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, secret.encode(), purpose.encode())

    def decrypt(self, kept: bytes, *, purpose: str) -> str:
        """Return the secret, or raise ``Undecryptable``."""
        version, nonce, sealed = kept[:1], kept[1 : _NONCE + 1], kept[_NONCE + 1 :]
        for cipher in self._ciphers if version == _VERSION and len(nonce) == _NONCE else ():
            try:
                return cipher.decrypt(nonce, sealed, purpose.encode()).decode()
            except InvalidTag:
                continue
        raise Undecryptable(purpose)


_PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})


@cache
def keys_in(arn: str, network: Network = DIRECT) -> tuple[bytes, ...]:
    """Return the keys that a secret holds, in the form of ``BRIDGE_ENCRYPTION_KEYS``, or raise ``CannotStart``."""
    try:
        session = boto3.Session(botocore_session=AwsSession(network))
        client = session.client("secretsmanager", region_name=arn.split(":")[3], config=_PATIENCE)
        answer = client.get_secret_value(SecretId=arn)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        raise CannotStart(f"AWS Secrets Manager does not give {arn} out: {code}") from None
    except (BotoCoreError, OSError, ValueError) as error:
        raise CannotStart(f"AWS Secrets Manager can't be asked for {arn}: {type(error).__name__}") from None
    try:
        return encryption_keys(answer.get("SecretString") or "")
    except ValueError as error:
        # Nothing of the secret itself is told.
        raise CannotStart(f"the text of the secret {arn} must be {error}") from None
