# SPDX-License-Identifier: Apache-2.0
"""AWS credentials: one refreshable session per process, frozen for each signature.

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

#: For STS, whose client would else be patient for minutes while a lane's lease runs out. Who asks tries again himself.
STS = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
#: So soon it is not looked anew, however many ask for it.
_PAUSE = dt.timedelta(seconds=1)


class CredentialChain:
    """The credentials of this process's environment. Made on first use, so that they are not those of who forked it."""

    def __init__(self, clock: Clock, *, region: str | None = None, network: Network = DIRECT) -> None:
        """``region`` is where STS is asked if the environment does not say where."""
        self._clock = clock
        self._region = region
        self._network = network
        self._lock = threading.RLock()
        self._session: botocore.session.Session | None = None
        self._found: Credentials | None = None
        self._made_at = dt.timedelta()

    def credentials(self) -> Credentials | None:
        """Return those that were found, None if there are none (yet)."""
        with self._lock:
            if self._found is None:
                # One that finds nothing is not kept: it has read the profiles as they are now.
                session, self._session = self._live(), None
                self._found = boto3.Session(botocore_session=session).get_credentials()
                self._session = session if self._found else None
            return self._found

    def client(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as botocore's `create_client`
        """Return a client of an AWS service. Only one is made at a time: botocore's session allows no more."""
        with self._lock:
            return self._live().create_client(*args, **options)

    def forget(self) -> None:
        """Look anew, unless that was done just now."""
        with self._lock:
            if self._clock.monotonic() - self._made_at >= _PAUSE:
                self._session = self._found = None

    def _live(self) -> botocore.session.Session:
        if self._session is None:
            session = AwsSession(self._network)
            session.set_default_client_config(STS)
            if self._region and not session.get_config_variable("region"):
                session.set_config_variable("region", self._region)
            self._session, self._made_at = session, self._clock.monotonic()
        return self._session


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
        chain: CredentialChain | None = None,
    ) -> None:
        self._clock = clock
        self._role = assume_role_arn
        self._session = session
        self._chain = chain or CredentialChain(clock)
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
    reason = f"AWS credentials can't be had: {type(error).__name__} {code}".rstrip()
    return CredentialsUnavailable(reason, denied=code.startswith("AccessDenied"))


# A provider may also read a file, run a program or parse what either says.
_FAILURES = (BotoCoreError, ClientError, OSError, ValueError, KeyError, RuntimeError)


#: Sessions that are kept; the one that was used least lately gives way.
_MOST = 1000
#: For so long a client whose session was refused is not asked for again.
_REFUSED_FOR = dt.timedelta(seconds=5)
#: So young a session is not made anew because AWS has refused it: another one would be refused as well.
_YOUNG = dt.timedelta(seconds=10)
_LONGEST = 64
_DIGITS = 12


def session_name(client: str) -> str:
    """Return what a client's session is called: his name, as far as AWS allows, and never that of another's.

    Where the name had to be changed or cut, ``=`` and a part of its hash follow. No client's own name holds a ``=``.
    """
    allowed = re.sub(r"[^\w+,.@-]", "-", client, flags=re.ASCII)
    if allowed == client and 2 <= len(client) <= _LONGEST and client != OWN_SESSION:
        return client
    digest = hashlib.sha256(client.encode()).hexdigest()[:_DIGITS]
    return f"{allowed[: _LONGEST - _DIGITS - 1]}={digest}"


class Sessions:
    """The sessions of clients. ``open_session`` returns the credentials of one that is called so, not yet fetched."""

    def __init__(self, open_session: Callable[[str], AwsCredentials], clock: Clock, *, most: int = _MOST) -> None:
        self._open = open_session
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, ClientSession] = OrderedDict()

    def of(self, client: str) -> "ClientSession":
        """Return the session of a client."""
        with self._lock:
            session = self._kept.get(client)
            if session is None:
                session = self._kept[client] = ClientSession(self._open(session_name(client)), self._clock)
            self._kept.move_to_end(client)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return session


class ClientSession:
    """See `bridge.upstream.aws.signing.CredentialSource`. However often it is used, STS is asked only now and then."""

    def __init__(self, credentials: AwsCredentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._fetching = threading.Lock()
        self._fetched_at: dt.timedelta | None = None
        self._failed: tuple[dt.timedelta, CredentialsUnavailable] | None = None

    def frozen(self) -> ReadOnlyCredentials:
        """Return access key, secret and token, or raise ``CredentialsUnavailable``: anew only after a while."""
        if self.are_at_hand():
            return self._credentials.frozen()
        with self._fetching:
            now, failed = self._clock.monotonic(), self._failed
            if failed and now - failed[0] < _REFUSED_FOR:
                raise CredentialsUnavailable(str(failed[1]), denied=failed[1].denied) from failed[1]
            try:
                frozen = self._credentials.frozen()
            except CredentialsUnavailable as error:
                self._failed = (self._clock.monotonic(), error)
                raise
            if self._fetched_at is None:
                self._fetched_at = now
            self._failed = None
            return frozen

    def are_at_hand(self) -> bool:
        """Return whether nobody has to be asked."""
        return self._credentials.are_at_hand()

    def forget(self) -> None:
        """Have another session made, unless this one is new, or is being made right now."""
        if not self._fetching.acquire(blocking=False):
            return
        try:
            if self._fetched_at is not None and self._clock.monotonic() - self._fetched_at >= _YOUNG:
                self._credentials.forget()
                self._fetched_at = None
        finally:
            self._fetching.release()
