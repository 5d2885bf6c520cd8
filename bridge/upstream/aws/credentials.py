# SPDX-License-Identifier: Apache-2.0
"""AWS credentials: one refreshable botocore session per process, frozen for each signature.

A live credentials object that refreshes between two reads mixes the key of one refresh with the token of another;
frozen ones can't. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import datetime as dt
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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

from bridge.config.network import DIRECT, Network
from bridge.errors import CredentialsUnavailable
from bridge.process.clock import Clock
from bridge.upstream.connections import AwsSession

#: botocore's defaults would block for minutes while a lane's lease expires. The callers retry.
STS_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
#: The shortest time between two searches for credentials, for any number of callers.
_MIN_SEARCH_INTERVAL = dt.timedelta(seconds=1)
#: The least recently used session is dropped.
_MAX_SESSIONS = 1000
#: The time for which a failure to open a client's session is cached.
_FAILURE_TTL = dt.timedelta(seconds=5)
#: A younger session is not replaced after a rejection by AWS: a new one would be rejected too.
_MIN_SESSION_AGE = dt.timedelta(seconds=10)
_MAX_SESSION_NAME_LENGTH = 64
_DIGEST_LENGTH = 12
#: After a failed refresh, the cached credentials are used for this long before the next attempt.
_REFRESH_RETRY_DELAY = dt.timedelta(seconds=10)
#: The name of the bridge's own session of the role.
OWN_SESSION = "mlflow-bridge"
#: A provider may also read a file, run a program, or parse the output of either.
_CREDENTIAL_ERRORS = (BotoCoreError, ClientError, OSError, ValueError, KeyError, RuntimeError)


class CredentialChain:
    """botocore's default credential chain. Created on first use, so that a forked process does not share it."""

    def __init__(self, clock: Clock, *, region: str | None = None, network: Network = DIRECT) -> None:
        """``region`` is that of STS if the environment names none."""
        self._clock = clock
        self._region = region
        self._network = network
        self._lock = threading.RLock()
        self._session: botocore.session.Session | None = None
        self._credentials: Credentials | None = None
        self._created_at = dt.timedelta()

    def credentials(self) -> Credentials | None:
        """Return the first credentials of the chain, None if there are none (yet)."""
        with self._lock:
            if self._credentials is None:
                # A session that finds none is dropped: it caches the profile files as they are now.
                session, self._session = self._current(), None
                self._credentials = boto3.Session(botocore_session=session).get_credentials()
                self._session = session if self._credentials else None
            return self._credentials

    def client(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as botocore's `create_client`
        """Return a client of an AWS service, created under a lock: botocore's session is not thread-safe."""
        with self._lock:
            return self._current().create_client(*args, **options)

    def invalidate(self) -> None:
        """Search for credentials again at the next use, unless the last search was just now."""
        with self._lock:
            if self._clock.monotonic() - self._created_at >= _MIN_SEARCH_INTERVAL:
                self._session = self._credentials = None

    def _current(self) -> botocore.session.Session:
        if self._session is None:
            session = AwsSession(self._network)
            session.set_default_client_config(STS_CONFIG)
            if self._region and not session.get_config_variable("region"):
                session.set_config_variable("region", self._region)
            self._session, self._created_at = session, self._clock.monotonic()
        return self._session


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSession:
    """The name and the source identity of a role session, as CloudTrail shows them."""

    name: str = OWN_SESSION
    #: Kept when the session assumes further roles. None needs no permission for sts:SetSourceIdentity.
    source_identity: str | None = None


_OWN = RoleSession()


class AwsCredentials:
    """The credentials of the default chain, or of a role that they assume."""

    def __init__(
        self,
        clock: Clock,
        assume_role_arn: str | None = None,
        *,
        session: RoleSession = _OWN,
        chain: CredentialChain | None = None,
    ) -> None:
        self._clock = clock
        self._role = assume_role_arn
        self._session = session
        self._chain = chain or CredentialChain(clock)
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        #: The last credentials that were frozen.
        self._last: ReadOnlyCredentials | None = None
        self._failed_at: dt.datetime | None = None

    def frozen(self) -> ReadOnlyCredentials:
        """Return one consistent set of credentials, refreshed where due, or raise ``CredentialsUnavailable``.

        botocore refreshes minutes before the expiry and raises if that fails; the cached set is used until it expires.
        """
        now = self._clock.now()
        # Another thread may invalidate them at any moment, so each is read once.
        last, failed_at = self._last, self._failed_at
        is_usable = last is not None and self._is_unexpired(now)
        if last and is_usable and failed_at and now < failed_at + _REFRESH_RETRY_DELAY:
            return last
        try:
            fresh = self._current().get_frozen_credentials()
        except _CREDENTIAL_ERRORS as error:
            self._failed_at = now
            if last and is_usable:
                return last
            raise _credentials_unavailable(error) from error
        self._last, self._failed_at = fresh, None
        return fresh

    def is_ready(self) -> bool:
        """Return whether ``frozen`` returns at once, without a refresh."""
        credentials = self._credentials
        if isinstance(credentials, RefreshableCredentials):
            return not credentials.refresh_needed()
        return credentials is not None

    def origin(self) -> tuple[str, dt.datetime | None]:
        """Return botocore's name for the provider of the cached credentials, and their expiry if known."""
        credentials = self._credentials
        expires_at: dt.datetime | None = getattr(credentials, "_expiry_time", None)
        return str(getattr(credentials, "method", None) or "unknown"), expires_at

    def invalidate(self) -> None:
        """Fetch credentials again at the next signature, because AWS has rejected the cached ones."""
        with self._lock:
            self._credentials = self._last = None
        self._chain.invalidate()

    def _is_unexpired(self, now: dt.datetime) -> bool:
        expires_at: dt.datetime | None = getattr(self._credentials, "_expiry_time", None)
        return expires_at is not None and now < expires_at

    def _current(self) -> Credentials:
        # Created on first use, so that a forked process does not share it.
        with self._lock:
            if self._credentials is None:
                self._credentials = self._assumed_role() if self._role else self._chain.credentials()
            if self._credentials is None:
                raise CredentialsUnavailable(
                    "No AWS credentials were found in the environment, the profile, or the instance's role"
                )
            return self._credentials

    def _assumed_role(self) -> Credentials:
        source = self._chain.credentials()
        if source is None:
            raise CredentialsUnavailable("No AWS credentials were found to assume the role with")
        session = {"RoleSessionName": self._session.name}
        if self._session.source_identity:
            session["SourceIdentity"] = self._session.source_identity
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=self._chain.client,
            source_credentials=source,
            role_arn=self._role,
            extra_args=session,
        )
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)


class ClientSession:
    """A role session in a client's name, see `bridge.upstream.aws.signing.CredentialSource`.

    Failures and rejections are cached for seconds, so that a busy client does not flood STS.
    """

    def __init__(self, credentials: AwsCredentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._fetch_lock = threading.Lock()
        self._fetched_at: dt.timedelta | None = None
        #: When the last attempt failed, and how.
        self._failure: tuple[dt.timedelta, CredentialsUnavailable] | None = None

    def frozen(self) -> ReadOnlyCredentials:
        """Return access key, secret and token, or raise ``CredentialsUnavailable``."""
        if self.is_ready():
            return self._credentials.frozen()
        with self._fetch_lock:
            now = self._clock.monotonic()
            if self._failure:
                failed_at, failure = self._failure
                if now - failed_at < _FAILURE_TTL:
                    raise CredentialsUnavailable(str(failure), denied=failure.denied) from failure
            try:
                frozen = self._credentials.frozen()
            except CredentialsUnavailable as error:
                self._failure = (self._clock.monotonic(), error)
                raise
            if self._fetched_at is None:
                self._fetched_at = now
            self._failure = None
            return frozen

    def is_ready(self) -> bool:
        """Return whether ``frozen`` returns at once, without a call to STS."""
        return self._credentials.is_ready()

    def invalidate(self) -> None:
        """Open a new session at the next use, unless this one is new or is being opened right now."""
        if not self._fetch_lock.acquire(blocking=False):
            return
        try:
            if self._fetched_at is not None and self._clock.monotonic() - self._fetched_at >= _MIN_SESSION_AGE:
                self._credentials.invalidate()
                self._fetched_at = None
        finally:
            self._fetch_lock.release()


class ClientSessions:
    """A bounded cache of role sessions by client.

    ``open_session`` returns the credentials of a session by its name, not yet fetched.
    """

    def __init__(
        self, open_session: Callable[[str], AwsCredentials], clock: Clock, *, max_sessions: int = _MAX_SESSIONS
    ) -> None:
        self._open = open_session
        self._clock = clock
        self._max_sessions = max_sessions
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, ClientSession] = OrderedDict()

    def for_client(self, client: str) -> ClientSession:
        """Return the session of a client."""
        with self._lock:
            session = self._sessions.get(client)
            if session is None:
                session = self._sessions[client] = ClientSession(self._open(session_name(client)), self._clock)
            self._sessions.move_to_end(client)
            if len(self._sessions) > self._max_sessions:
                self._sessions.popitem(last=False)
            return session


def session_name(client: str) -> str:
    """Return the session name of a client: its own name, as far as AWS allows, and unique among clients.

    A changed or shortened name ends in ``=`` and a part of its hash. No client's own name holds a ``=``.
    """
    allowed = re.sub(r"[^\w+,.@-]", "-", client, flags=re.ASCII)
    if allowed == client and 2 <= len(client) <= _MAX_SESSION_NAME_LENGTH and client != OWN_SESSION:
        return client
    digest = hashlib.sha256(client.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{allowed[: _MAX_SESSION_NAME_LENGTH - _DIGEST_LENGTH - 1]}={digest}"


def _credentials_unavailable(error: Exception) -> CredentialsUnavailable:
    # AWS's error code is shown, its message is not: it may quote the request.
    text = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    code = text if re.fullmatch(r"[A-Za-z.]{1,60}", text) else ""
    reason = f"AWS credentials can't be had: {type(error).__name__} {code}".rstrip()
    return CredentialsUnavailable(reason, denied=code.startswith("AccessDenied"))
