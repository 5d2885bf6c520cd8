# SPDX-License-Identifier: Apache-2.0
"""AWS credentials: one refreshable session per process, frozen for each signature.

A live credentials object that refreshes between two reads mixes the key of one refresh with the token of another;
frozen ones can't. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import threading

import boto3
import botocore.session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    ReadOnlyCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError

from bridge.errors import CredentialsUnavailable


class AwsCredentials:
    """The credentials of this process's environment, or of a role that they may assume."""

    def __init__(self, assume_role_arn: str | None = None) -> None:
        self._role = assume_role_arn
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None

    def frozen(self) -> ReadOnlyCredentials:
        """Return one consistent set of credentials, refreshed where due, or raise ``CredentialsUnavailable``."""
        try:
            return self._live().get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:
            raise CredentialsUnavailable(f"AWS credentials can't be refreshed: {type(error).__name__}") from error

    def _live(self) -> Credentials:
        # Made on first use, so that it belongs to the process that uses it and not to the one that forked it.
        with self._lock:
            if self._credentials is None:
                self._credentials = self._assumed() if self._role else boto3.Session().get_credentials()
            if self._credentials is None:
                raise CredentialsUnavailable(
                    "No AWS credentials were found in the environment, the profile, or the instance's role"
                )
            return self._credentials

    def _assumed(self) -> Credentials:
        session = botocore.session.get_session()
        source = session.get_credentials()
        if source is None:
            raise CredentialsUnavailable("No AWS credentials were found to assume the role with")
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=session.create_client,
            source_credentials=source,
            role_arn=self._role,
            extra_args={"RoleSessionName": "mlflow-bridge"},
        )
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
