# SPDX-License-Identifier: Apache-2.0
"""A session of the role for each client, called after him, so that CloudTrail tells clients apart.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html says what a session may be called.
"""

import datetime as dt
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable

from botocore.credentials import ReadOnlyCredentials

from bridge.clock import Clock
from bridge.errors import CredentialsUnavailable
from bridge.sagemaker.credentials import OWN_SESSION, AwsCredentials

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
    """See `bridge.sagemaker.signing.CredentialSource`. However often it is used, STS is asked only now and then."""

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
