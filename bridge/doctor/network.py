# SPDX-License-Identifier: Apache-2.0
"""Looks at what outgoing connections are made with: the authorities, the proxy, the client certificate."""

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
from bridge.doctor.api import aged
from bridge.doctor.checks import Check, CheckResult, fail, ok
from bridge.errors import CannotStart
from bridge.process.clock import Clock

TIMEOUT = 3.0
_LONGEST_HEAD = 16_384
_CLIENT_CERTIFICATE = "BRIDGE_UPSTREAM_CLIENT_CERTIFICATE"


class Turned(OSError):
    """The proxy does not lead there; the text says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answers with status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one server: directly, or through a proxy."""

    url: SplitResult
    network: Network

    @property
    def place(self) -> tuple[str, int]:
        """The server's host and port."""
        return _place(self.url)

    @property
    def proxy(self) -> EgressProxy | None:
        """The proxy that leads there, if one does."""
        return self.network.proxies.of(self.url.geturl())

    @contextmanager
    def opened(self) -> Iterator[socket.socket]:
        """Connect, and yield the line to the server, or to the proxy where that passes plain requests on."""
        proxy = self.proxy
        parts = urlsplit(proxy.url) if proxy else self.url
        with ExitStack() as stack:
            line = stack.enter_context(socket.create_connection(_place(parts), timeout=TIMEOUT))
            if proxy and parts.scheme == "https":
                line = stack.enter_context(self.network.tls().wrap_socket(line, server_hostname=parts.hostname))
            if proxy and self.url.scheme == "https":
                _tunnel(line, self.place, parts)
            yield line

    def certificate(self, context: ssl.SSLContext) -> x509.Certificate:
        """Return the certificate that the server shows; raises what `ssl` raises."""
        with self.opened() as line:
            host = self.place[0]
            if isinstance(line, ssl.SSLSocket):
                tls: SSLTransport | ssl.SSLSocket = SSLTransport(line, context, server_hostname=host)
            else:
                tls = context.wrap_socket(line, server_hostname=host)
            with tls:
                return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")


def way_checks(way: Way, clock: Clock) -> list[Check]:
    """Return the questions about what the way is gone with."""
    network = way.network
    checks = [Check("ca bundle", lambda: _authorities(network))]
    if network.proxies.https or network.proxies.http:
        checks.append(Check("proxy", lambda: _proxy(way)))
    if network.client_certificate or network.client_key:
        checks.append(Check("client certificate", lambda: _client_certificate(network, clock)))
    return checks


def _authorities(network: Network) -> CheckResult:
    bundle = network.ca_bundle
    if bundle is None:
        return ok("the public authorities (certifi) and those of this machine are trusted")
    try:
        context = Network(ca_bundle=bundle).tls()
    except CannotStart as error:
        return _unusable(error)
    return ok(f"{len(context.get_ca_certs())} authorities of {bundle.path} ({bundle.variable}) are trusted, no others")


def _client_certificate(network: Network, clock: Clock) -> CheckResult:
    try:
        replace(network, ca_bundle=None).check()
    except CannotStart as error:
        return _unusable(error)
    path = network.client_certificate
    certificate = x509.load_pem_x509_certificates(path.read_bytes() if path else b"")[0]
    subject = certificate.subject.rfc4514_string()
    opinion = aged(certificate, clock.now(), f"put a new certificate in the place that {_CLIENT_CERTIFICATE} names")
    return replace(opinion, found=f"{subject}, {opinion.found}")


def _proxy(way: Way) -> CheckResult:
    proxy, host = way.proxy, way.place[0]
    if proxy is None:
        other = way.network.proxies.https or way.network.proxies.http
        said = f"{other.shown} ({other.variable})" if other else "it"
        return ok(f"{said} is not used for {host}, which is reached directly")
    place = _place(urlsplit(proxy.url))
    named = f"{proxy.shown} ({proxy.variable})"
    try:
        socket.create_connection(place, timeout=TIMEOUT).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fix = f"mend {proxy.variable}, or name {host} in NO_PROXY if it is reached without"
        return fail(f"{named} can't be reached: {reason}", fix)
    return ok(f"{named} leads to {host}")


def turned(way: Way, error: Turned) -> CheckResult:
    """Return what it means that the proxy does not lead there."""
    (host, port), proxy = way.place, way.proxy
    variable = proxy.variable if proxy else ""
    fix = {
        407: f"name a user and a password in {variable}: http://user:password@proxy.example:3128",
        403: f"have the proxy allow {host}:{port}, or name {host} in NO_PROXY if it is reached without",
    }.get(error.status, f"find out in the proxy's log why it can't reach {host}:{port}")
    return fail(f"the proxy does not lead to {host}:{port}: status {error.status}", fix)


def _unusable(error: CannotStart) -> CheckResult:
    found, _, fix = str(error).partition(": ")
    return fail(found, fix)


def _place(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _tunnel(line: socket.socket, place: tuple[str, int], proxy: SplitResult) -> None:
    """Have the proxy lead a connection to a place (RFC 9110, section 9.3.6)."""
    host, port = f"[{place[0]}]" if ":" in place[0] else place[0], place[1]
    login = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
    headers = make_headers(proxy_basic_auth=login) if proxy.username else {}
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}", *(": ".join(pair) for pair in headers.items())]
    line.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD and (byte := line.recv(1)):
        head += byte
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].isdigit():
        raise ConnectionError("the proxy does not speak HTTP")
    if not 200 <= int(status[0]) < 300:
        raise Turned(int(status[0]))
