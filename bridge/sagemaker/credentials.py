# SPDX-License-Identifier: Apache-2.0
"""AWS credentials: one refreshable session per process, frozen for each signature.

A live credentials object that refreshes between two reads mixes the key of one refresh with the token of another;
frozen ones can't. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import datetime as dt
import threading

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError

from bridge.clock import Clock
from bridge.errors import CredentialsUnavailable

#: After a refresh that failed, the credentials at hand are used for this long before the next try.
_REFRESH_PAUSE = dt.timedelta(seconds=10)
#: For STS, whose client would else be patient for minutes while calls wait.
_STS = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})


class AwsCredentials:
    """The credentials of this process's environment, or of a role that they may assume."""

    def __init__(self, clock: Clock, assume_role_arn: str | None = None, *, region: str | None = None) -> None:
        """``region`` is where the role is assumed if the environment does not say where."""
        self._clock = clock
        self._role = assume_role_arn
        self._region = region
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._last: ReadOnlyCredentials | None = None
        self._failed_at: dt.datetime | None = None

    def frozen(self) -> ReadOnlyCredentials:
        """Return one consistent set of credentials, refreshed where due, or raise ``CredentialsUnavailable``.

        botocore refreshes minutes before the end and raises if that fails; the set at hand is used until its real end.
        """
        now = self._clock.now()
        # Another thread may forget them at any moment; what is returned is looked at once.
        last, failed_at = self._last, self._failed_at
        usable = last is not None and self._still_valid(now)
        if last and usable and failed_at and now < failed_at + _REFRESH_PAUSE:
            return last
        try:
            fresh = self._live().get_frozen_credentials()
        except _FAILURES as error:
            self._failed_at = now
            if last and usable:
                return last
            raise CredentialsUnavailable(f"AWS credentials can't be had: {type(error).__name__}") from error
        self._last, self._failed_at = fresh, None
        return fresh

    def are_at_hand(self) -> bool:
        """Return whether ``frozen`` would answer without asking anybody for fresh ones."""
        credentials = self._credentials
        if isinstance(credentials, RefreshableCredentials):
            return not credentials.refresh_needed()
        return credentials is not None

    def origin(self) -> tuple[str, dt.datetime | None]:
        """Return what kind of credentials are at hand, in botocore's words, and when they end, if that is known."""
        credentials = self._credentials
        ends: dt.datetime | None = getattr(credentials, "_expiry_time", None)
        return str(getattr(credentials, "method", None) or "unknown"), ends

    def forget(self) -> None:
        """Look for credentials anew at the next signature: AWS does not take those at hand."""
        with self._lock:
            self._credentials = self._last = None

    def _still_valid(self, now: dt.datetime) -> bool:
        expires_at: dt.datetime | None = getattr(self._credentials, "_expiry_time", None)
        return expires_at is not None and now < expires_at

    def _live(self) -> Credentials:
        # Made on first use, so that it belongs to the process that uses it and not to the one that forked it.
        with self._lock:
            if self._credentials is None:
                self._credentials = self._assumed() if self._role else self._found()
            if self._credentials is None:
                raise CredentialsUnavailable(
                    "No AWS credentials were found in the environment, the profile, or the instance's role"
                )
            return self._credentials

    def _found(self) -> Credentials | None:
        credentials: Credentials | None = boto3.Session(botocore_session=self._session()).get_credentials()
        return credentials

    def _assumed(self) -> Credentials:
        session = self._session()
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

    def _session(self) -> botocore.session.Session:
        session = botocore.session.get_session()
        session.set_default_client_config(_STS)
        if self._region and not session.get_config_variable("region"):
            session.set_config_variable("region", self._region)
        return session


# A provider may also read a file, run a program or parse what either says.
_FAILURES = (BotoCoreError, ClientError, OSError, ValueError, KeyError, RuntimeError)
