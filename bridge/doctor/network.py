# SPDX-License-Identifier: Apache-2.0
"""Checks of outgoing connections: CA bundle, proxy and client certificate."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography import x509
from urllib3.util import make_headers
from urllib3.util.ssltransport import SSLTransport

from bridge.config.network import EgressProxy, Network
from bridge.doctor.api import check_validity
from bridge.doctor.checks import Check, CheckResult, fail, ok
from bridge.errors import CannotStart
from bridge.process.clock import Clock

CONNECT_TIMEOUT_S = 3.0
_MAX_HEAD_BYTES = 16_384
_CLIENT_CERTIFICATE = "BRIDGE_UPSTREAM_CLIENT_CERTIFICATE"


class ProxyRefused(OSError):
    """The proxy refused to open a tunnel."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy responds with status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Route:
    """The route to a server: direct, or through a proxy."""

    url: SplitResult
    network: Network

    @property
    def address(self) -> tuple[str, int]:
        """The host and port of the server."""
        return _address(self.url)

    @property
    def proxy(self) -> EgressProxy | None:
        """The proxy of the route; None: it is direct."""
        return self.network.proxies.for_url(self.url.geturl())

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Yield a socket to the server; for plain HTTP through a proxy, to the proxy."""
        proxy = self.proxy
        parts = urlsplit(proxy.url) if proxy else self.url
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(_address(parts), timeout=CONNECT_TIMEOUT_S))
            if proxy and parts.scheme == "https":
                connection = stack.enter_context(
                    self.network.tls().wrap_socket(connection, server_hostname=parts.hostname)
                )
            if proxy and self.url.scheme == "https":
                _open_tunnel(connection, self.address, parts)
            yield connection

    def certificate(self, context: ssl.SSLContext) -> x509.Certificate:
        """Return the certificate of the server. Raises ``ssl.SSLError`` and ``OSError``."""
        with self.connected() as connection:
            host = self.address[0]
            if isinstance(connection, ssl.SSLSocket):
                tls: SSLTransport | ssl.SSLSocket = SSLTransport(connection, context, server_hostname=host)
            else:
                tls = context.wrap_socket(connection, server_hostname=host)
            with tls:
                return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")


def network_checks(route: Route, clock: Clock) -> list[Check]:
    """Return the checks of the route's CA bundle, proxy and client certificate."""
    network = route.network
    checks = [Check("ca bundle", lambda: _check_ca_bundle(network))]
    if network.proxies.https or network.proxies.http:
        checks.append(Check("proxy", lambda: _check_proxy(route)))
    if network.client_certificate or network.client_key:
        checks.append(Check("client certificate", lambda: _check_client_certificate(network, clock)))
    return checks


def _check_ca_bundle(network: Network) -> CheckResult:
    bundle = network.ca_bundle
    if bundle is None:
        return ok("the public CAs (certifi) and those of this machine are trusted")
    try:
        context = Network(ca_bundle=bundle).tls()
    except CannotStart as error:
        return _as_failure(error)
    return ok(f"only the {len(context.get_ca_certs())} CAs in {bundle.path} ({bundle.variable}) are trusted")


def _check_client_certificate(network: Network, clock: Clock) -> CheckResult:
    try:
        # Without the CA bundle, which has a check of its own.
        replace(network, ca_bundle=None).check()
    except CannotStart as error:
        return _as_failure(error)
    path = network.client_certificate
    certificate = x509.load_pem_x509_certificates(path.read_bytes() if path else b"")[0]
    subject = certificate.subject.rfc4514_string()
    result = check_validity(certificate, clock.now(), f"replace the file that {_CLIENT_CERTIFICATE} names")
    return replace(result, found=f"{subject}, {result.found}")


def _check_proxy(route: Route) -> CheckResult:
    proxy, host = route.proxy, route.address[0]
    if proxy is None:
        unused = route.network.proxies.https or route.network.proxies.http
        name = f"{unused.masked_url} ({unused.variable})" if unused else "it"
        return ok(f"{name} is not used for {host}: the connection is direct")
    address = _address(urlsplit(proxy.url))
    name = f"{proxy.masked_url} ({proxy.variable})"
    try:
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fix = f"correct {proxy.variable}, or add {host} to NO_PROXY if it needs no proxy"
        return fail(f"{name} can't be reached: {reason}", fix)
    return ok(f"{name} is used for {host}")


def proxy_refusal(route: Route, error: ProxyRefused) -> CheckResult:
    """Return the result for a tunnel that the proxy refused."""
    (host, port), proxy = route.address, route.proxy
    variable = proxy.variable if proxy else ""
    fix = {
        407: f"set a user and a password in {variable}: http://user:password@proxy.example:3128",
        403: f"allow {host}:{port} in the proxy, or add {host} to NO_PROXY if it needs no proxy",
    }.get(error.status, f"see the log of the proxy for why it can't reach {host}:{port}")
    return fail(f"the proxy refuses a tunnel to {host}:{port}: status {error.status}", fix)


def _as_failure(error: CannotStart) -> CheckResult:
    found, _, fix = str(error).partition(": ")
    return fail(found, fix)


def _address(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _open_tunnel(connection: socket.socket, address: tuple[str, int], proxy: SplitResult) -> None:
    """Open a tunnel to an address with CONNECT (RFC 9110, section 9.3.6)."""
    host, port = f"[{address[0]}]" if ":" in address[0] else address[0], address[1]
    login = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
    headers = make_headers(proxy_basic_auth=login) if proxy.username else {}
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}", *(": ".join(pair) for pair in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    # Byte by byte: what follows the head belongs to the tunnel.
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD_BYTES and (byte := connection.recv(1)):
        head += byte
    _version, _, rest_of_line = head.partition(b" ")
    status = rest_of_line[:3]
    if not status.isdigit():
        raise ConnectionError("the proxy does not respond with HTTP")
    if not 200 <= int(status) < 300:
        raise ProxyRefused(int(status))
