# SPDX-License-Identifier: Apache-2.0
"""Fetches the encryption keys from AWS Secrets Manager: once, when a process starts."""

from functools import cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bridge.connections import AwsSession
from bridge.errors import CannotStart
from bridge.network import DIRECT, Network
from bridge.setting_kinds import encryption_keys

_PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})


@cache
def keys_in(arn: str, network: Network = DIRECT) -> tuple[bytes, ...]:
    """Return the keys that a secret holds, in the form of ``BRIDGE_SECRETS_KEY``, or raise ``CannotStart``."""
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
