# SPDX-License-Identifier: Apache-2.0
"""Encryption of stored secrets with AES-256-GCM, and the client of AWS Secrets Manager that holds its keys.

The secrets of access keys must be readable to verify signatures, so a hash is not enough. The purpose of a secret is
its additional authenticated data: a writer to the store can't exchange the secrets of two clients.
"""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.config.network import DIRECT, Network
from bridge.config.parsers import encryption_keys
from bridge.errors import CannotStart, SecretNotStored
from bridge.upstream.connections import AwsSession

#: The first byte of a ciphertext, so that the format can change.
_VERSION = b"\x01"
_NONCE_BYTES = 12
#: Errors of AWS Secrets Manager that recur at each start until its configuration changes.
_PERMANENT_ERRORS = {
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
}
_SECRETS_MANAGER_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})


class Undecryptable(Exception):
    """No key decrypts this ciphertext, or it has another purpose."""


class Cipher:
    """Encrypts with its first key and decrypts with any, so that keys can be rotated without downtime."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def encrypt(self, secret: str, *, purpose: str) -> bytes:
        """Return the ciphertext to store."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, secret.encode(), purpose.encode())

    def decrypt(self, ciphertext: bytes, *, purpose: str) -> str:
        """Return the secret, or raise ``Undecryptable``."""
        version, nonce, sealed = ciphertext[:1], ciphertext[1 : _NONCE_BYTES + 1], ciphertext[_NONCE_BYTES + 1 :]
        for cipher in self._ciphers if version == _VERSION and len(nonce) == _NONCE_BYTES else ():
            try:
                return cipher.decrypt(nonce, sealed, purpose.encode()).decode()
            except InvalidTag:
                continue
        raise Undecryptable(purpose)


@cache
def fetch_encryption_keys(arn: str, network: Network = DIRECT) -> tuple[bytes, ...]:
    """Return the keys of a secret in the format of ``BRIDGE_ENCRYPTION_KEYS``, or raise ``CannotStart``."""
    try:
        answer = _secrets_manager(arn, network).get_secret_value(SecretId=arn)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        raise CannotStart(
            f"AWS Secrets Manager does not give {arn} out: {code}", retryable=code not in _PERMANENT_ERRORS
        ) from None
    except (BotoCoreError, OSError, ValueError) as error:
        raise CannotStart(
            f"AWS Secrets Manager can't be reached for {arn}: {type(error).__name__}", retryable=True
        ) from None
    try:
        return encryption_keys(answer.get("SecretString") or "")
    except ValueError as error:
        # The message must not quote the secret.
        raise CannotStart(f"the text of the secret {arn} must be {error}") from None


def store_secret(arn: str, text: str, network: Network = DIRECT) -> None:
    """Make a text the current value of an existing secret, or raise ``SecretNotStored``."""
    try:
        _secrets_manager(arn, network).put_secret_value(SecretId=arn, SecretString=text)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        raise SecretNotStored(f"AWS Secrets Manager does not store the key in {arn}: {code}") from None
    except (BotoCoreError, OSError, ValueError) as error:
        raise SecretNotStored(f"AWS Secrets Manager can't be reached for {arn}: {type(error).__name__}") from None


def _secrets_manager(arn: str, network: Network) -> Any:  # noqa: ANN401 - botocore's clients have no types
    session = boto3.Session(botocore_session=AwsSession(network))
    return session.client("secretsmanager", region_name=arn.split(":")[3], config=_SECRETS_MANAGER_CONFIG)
