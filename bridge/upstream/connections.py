# SPDX-License-Identifier: Apache-2.0
"""How requests and AWS's library connect: as `bridge.config.network` says, never over a connection that may be dead."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import requests
import urllib3
from botocore.config import Config
from botocore.session import Session as BotocoreSession
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge.config.network import CurrentTls, Network

#: A connection that has been idle for longer is not used again. uvicorn, which MLflow runs on, ends it after 5 s, and a
#: call that is sent at that moment gets no answer.
IDLE_LIMIT = dt.timedelta(seconds=4)

#: Whether the exchange of this thread must not use a connection that others have used, and whether it did.
_fresh: ContextVar[bool] = ContextVar("fresh", default=False)
_reused: ContextVar[bool] = ContextVar("reused", default=False)


class _Pool(HTTPConnectionPool):
    """Keeps connections for only so long, which urllib3 itself does not limit."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as it is overridden, here and below
        super().__init__(*args, **options)
        self._idle_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401
        connection = super()._get_conn(timeout)
        idle = monotonic() - self._idle_since.pop(connection, monotonic())
        if _fresh.get() or idle > IDLE_LIMIT.total_seconds():
            # One that is closed is opened again when it is used.
            connection.close()
        _reused.set(not connection.is_closed)
        return connection

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401
        if conn is not None:
            self._idle_since[conn] = monotonic()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    """The same with TLS."""


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """Sends requests over connections that are made as the rule says, `verify=True` meaning the rule's authorities."""

    def __init__(self, network: Network, url: str, *, pool: int, upstream: bool = False) -> None:
        """All requests are for the server of this URL; ``upstream`` may ask for the client certificate."""
        self._network = network
        self._tls = CurrentTls(network, upstream=upstream)
        if url.startswith("https:"):
            # Made now, for it takes a tenth of a second, and says here what can't be read.
            self._tls.context()
        super().__init__(pool_connections=1, pool_maxsize=pool, max_retries=0)

    def send_prepared(
        self,
        prepared: requests.PreparedRequest,
        *,
        timeouts: tuple[float, float],
        proxies: dict[str, str],
        repeats: bool,
    ) -> requests.Response:
        """Send a request and return the answer as soon as its head is there.

        ``repeats``: a second time comes to the same. Such a request is sent once more, over a new connection, if the
        one that others had used before turned out to be dead before a byte of the answer. For any other request that
        can't be known: the server may have died of it.
        """

        def send() -> requests.Response:
            return self.send(prepared, stream=True, timeout=timeouts, verify=True, proxies=proxies)

        try:
            return send()
        except requests.ConnectionError as error:
            if not (repeats and _reused.get() and _is_hung_up(error)):
                raise
        with on_fresh_connection():
            return send()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as it is overridden
        """Return the pools of connections through a proxy."""
        tls = {"proxy_ssl_context": self._network.tls()} if proxy.startswith("https:") else {}
        manager = super().proxy_manager_for(proxy, **tls, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return which pool a request is for."""
        host, tls = super().build_connection_pool_key_attributes(request, self._authorities(verify), cert)
        if verify is True and not cert:
            tls = {"ssl_context": self._tls.context()} if host["scheme"] == "https" else {}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401
        """Leave the rule's authorities alone, to which requests would add the public ones."""
        if verify is not True or cert:
            super().cert_verify(conn, url, self._authorities(verify), cert)

    def _authorities(self, verify: Any) -> Any:  # noqa: ANN401
        """Return the file of OpenTelemetry's own variables, if they name one, or else the rule's."""
        bundle = self._network.ca_bundle
        return str(bundle.path) if bundle and verify is True else verify


def session_to(url: str, network: Network) -> requests.Session:
    """Return a session for one address: without what the environment says of proxies, authorities and passwords."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = network.proxies_of(url)
    adapter = Adapter(network, url, pool=1)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


@contextmanager
def on_fresh_connection() -> Iterator[None]:
    """Have this thread's exchanges use no connection that was used before, whichever the pool holds by now."""
    token = _fresh.set(True)
    try:
        yield
    finally:
        _fresh.reset(token)


class AwsSession(BotocoreSession):  # type: ignore[misc] # botocore is untyped
    """A session of botocore whose clients all follow the rule, also those that fetch credentials."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def create_client(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as it is overridden
        """Return a client of an AWS service."""
        bundle = self._network.ca_bundle
        if bundle and options.get("verify") is None:
            options["verify"] = str(bundle.path)
        config = options.pop("config", None) or Config()

        def client(proxies: dict[str, str]) -> Any:  # noqa: ANN401
            return super(AwsSession, self).create_client(*args, **options, config=config.merge(Config(proxies=proxies)))

        made = client({})
        # Only a client knows where it sends to.
        proxies = self._network.proxies_of(made.meta.endpoint_url)
        return client(proxies) if proxies else made


def _is_hung_up(error: requests.ConnectionError) -> bool:
    """Return whether the server ended the connection without a word, as it ends idle ones."""
    cause = error.args[0] if error.args else None
    reasons = cause.args if isinstance(cause, urllib3.exceptions.ProtocolError) else ()
    return any(isinstance(reason, ConnectionError) for reason in reasons)
