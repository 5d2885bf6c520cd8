# SPDX-License-Identifier: Apache-2.0
"""botocore's chain of places where a process may find credentials, looked through once and shared."""

import datetime as dt
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials

from bridge.clock import Clock
from bridge.connections import AwsSession
from bridge.network import DIRECT, Network

#: For STS, whose client would else be patient for minutes while a lane's lease runs out. Who asks tries again himself.
STS = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
#: So soon it is not looked anew, however many ask for it.
_PAUSE = dt.timedelta(seconds=1)


class Chain:
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
