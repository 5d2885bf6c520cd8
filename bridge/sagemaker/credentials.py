# SPDX-License-Identifier: Apache-2.0
"""AWS credentials: one refreshable session per process, frozen for each signature.

A live credentials object that refreshes between two reads mixes the key of one refresh with the token of another;
frozen ones can't. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import datetime as dt
import re
import threading
from dataclasses import dataclass

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
from bridge.sagemaker.chain import Chain

#: After a refresh that failed, the credentials at hand are used for this long before the next try.
_REFRESH_PAUSE = dt.timedelta(seconds=10)
#: What the bridge's own session of a role is called.
OWN_SESSION = "mlflow-bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSession:
    """What CloudTrail shows of a session of a role."""

    name: str = OWN_SESSION
    #: Stays the same if the session assumes further roles. None where the role need not allow sts:SetSourceIdentity.
    source_identity: str | None = None


_OWN = RoleSession()


class AwsCredentials:
    """The credentials of this process's environment, or of a role that they may assume."""

    def __init__(
        self,
        clock: Clock,
        assume_role_arn: str | None = None,
        *,
        session: RoleSession = _OWN,
        chain: Chain | None = None,
    ) -> None:
        self._clock = clock
        self._role = assume_role_arn
        self._session = session
        self._chain = chain or Chain(clock)
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
            raise _unavailable(error) from error
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
        self._chain.forget()

    def _still_valid(self, now: dt.datetime) -> bool:
        expires_at: dt.datetime | None = getattr(self._credentials, "_expiry_time", None)
        return expires_at is not None and now < expires_at

    def _live(self) -> Credentials:
        # Made on first use, so that it belongs to the process that uses it and not to the one that forked it.
        with self._lock:
            if self._credentials is None:
                self._credentials = self._assumed() if self._role else self._chain.credentials()
            if self._credentials is None:
                raise CredentialsUnavailable(
                    "No AWS credentials were found in the environment, the profile, or the instance's role"
                )
            return self._credentials

    def _assumed(self) -> Credentials:
        source = self._chain.credentials()
        if source is None:
            raise CredentialsUnavailable("No AWS credentials were found to assume the role with")
        named = {"RoleSessionName": self._session.name}
        if self._session.source_identity:
            named["SourceIdentity"] = self._session.source_identity
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=self._chain.client,
            source_credentials=source,
            role_arn=self._role,
            extra_args=named,
        )
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)


def _unavailable(error: Exception) -> CredentialsUnavailable:
    # AWS's name for the reason is told, its words are not: they may quote what was asked.
    said = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    code = said if re.fullmatch(r"[A-Za-z.]{1,60}", said) else ""
    why = f"AWS credentials can't be had: {type(error).__name__} {code}".rstrip()
    return CredentialsUnavailable(why, denied=code.startswith("AccessDenied"))


# A provider may also read a file, run a program or parse what either says.
_FAILURES = (BotoCoreError, ClientError, OSError, ValueError, KeyError, RuntimeError)
