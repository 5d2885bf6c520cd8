# SPDX-License-Identifier: Apache-2.0
"""Connection pools for requests and botocore that follow the network settings and avoid dead connections."""

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

#: A connection that has been idle for longer is not used again. uvicorn, which serves MLflow, closes it after 5 s, and
#: a call at that moment gets no response.
IDLE_LIMIT = dt.timedelta(seconds=4)

#: Whether this thread's request must use a new connection, and whether its last request used an old one.
_needs_new: ContextVar[bool] = ContextVar("needs_new", default=False)
_reused: ContextVar[bool] = ContextVar("reused", default=False)


class _Pool(HTTPConnectionPool):
    """A pool that bounds the idle time of connections, which urllib3 does not."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as it is overridden, here and below
        super().__init__(*args, **options)
        self._idle_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401
        connection = super()._get_conn(timeout)
        idle = monotonic() - self._idle_since.pop(connection, monotonic())
        if _needs_new.get() or idle > IDLE_LIMIT.total_seconds():
            # urllib3 opens a closed connection again when it is used.
            connection.close()
        _reused.set(not connection.is_closed)
        return connection

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401
        if conn is not None:
            self._idle_since[conn] = monotonic()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    """The same pool for TLS."""


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """A requests adapter that follows the network settings. `verify=True` means their certificate authorities."""

    def __init__(self, network: Network, url: str, *, pool: int, upstream: bool = False) -> None:
        """All requests go to the server of this URL. ``upstream``: present the client certificate if requested."""
        self._network = network
        self._tls = CurrentTls(network, upstream=upstream)
        if url.startswith("https:"):
            # Created now, because it takes a tenth of a second, and unreadable files must be reported here.
            self._tls.context()
        super().__init__(pool_connections=1, pool_maxsize=pool, max_retries=0)

    def send_prepared(
        self,
        prepared: requests.PreparedRequest,
        *,
        timeouts: tuple[float, float],
        proxies: dict[str, str],
        is_repeatable: bool,
    ) -> requests.Response:
        """Send a request and return the response as soon as its head has arrived.

        ``is_repeatable``: the request is idempotent. It is repeated once, over a new connection, if a reused connection
        ended before a byte of the response. Any other request is not: it may have crashed the server.
        """

        def send() -> requests.Response:
            return self.send(prepared, stream=True, timeout=timeouts, verify=True, proxies=proxies)

        try:
            return send()
        except requests.ConnectionError as error:
            if not (is_repeatable and _reused.get() and _is_disconnect(error)):
                raise
        with on_fresh_connection():
            return send()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """Create the pools of direct connections."""
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
        """Return the pool key of a request."""
        host, tls = super().build_connection_pool_key_attributes(request, self._authorities(verify), cert)
        if verify is True and not cert:
            tls = {"ssl_context": self._tls.context()} if host["scheme"] == "https" else {}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401
        """Keep the configured authorities; requests would add the public ones."""
        if verify is not True or cert:
            super().cert_verify(conn, url, self._authorities(verify), cert)

    def _authorities(self, verify: Any) -> Any:  # noqa: ANN401
        """Return the file that OpenTelemetry's own variables name, or else the configured one."""
        bundle = self._network.ca_bundle
        return str(bundle.path) if bundle and verify is True else verify


def session_to(url: str, network: Network) -> requests.Session:
    """Return a session for one URL that ignores the environment's proxies, authorities and netrc file."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = network.proxies_of(url)
    adapter = Adapter(network, url, pool=1)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


@contextmanager
def on_fresh_connection() -> Iterator[None]:
    """Make this thread's requests use new connections only, whatever the pool holds."""
    token = _needs_new.set(True)
    try:
        yield
    finally:
        _needs_new.reset(token)


class AwsSession(BotocoreSession):  # type: ignore[misc] # botocore is untyped
    """A botocore session. All its clients follow the network settings, including those that fetch credentials."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def create_client(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as it is overridden
        """Return a client of an AWS service."""
        bundle = self._network.ca_bundle
        if bundle and options.get("verify") is None:
            options["verify"] = str(bundle.path)
        config = options.pop("config", None) or Config()

        def create(proxies: dict[str, str]) -> Any:  # noqa: ANN401
            return super(AwsSession, self).create_client(*args, **options, config=config.merge(Config(proxies=proxies)))

        # The first client shows the endpoint, on which its proxy depends.
        direct = create({})
        proxies = self._network.proxies_of(direct.meta.endpoint_url)
        return create(proxies) if proxies else direct


def _is_disconnect(error: requests.ConnectionError) -> bool:
    """Return whether the server closed the connection without a response, as it closes idle ones."""
    cause = error.args[0] if error.args else None
    reasons = cause.args if isinstance(cause, urllib3.exceptions.ProtocolError) else ()
    return any(isinstance(reason, ConnectionError) for reason in reasons)
