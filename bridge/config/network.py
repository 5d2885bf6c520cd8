# SPDX-License-Identifier: Apache-2.0
"""Network settings of all outgoing connections: trusted certificate authorities, egress proxies, client certificate.

The usual variables apply where the bridge's own are not set. They are read once, with the settings. Every HTTP library
is configured from here, and none reads the environment by itself.
"""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from bridge.errors import CannotStart

#: Variables that may name a CA bundle. The first one that is set applies.
CA_BUNDLE = ("BRIDGE_CA_BUNDLE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
#: Variables that may name a proxy, by the scheme of the requested URL: lower case first, as in curl and requests.
PROXY = {
    "https": ("BRIDGE_PROXY", "https_proxy", "HTTPS_PROXY"),
    "http": ("BRIDGE_PROXY", "http_proxy", "HTTP_PROXY"),
}
NO_PROXY = ("no_proxy", "NO_PROXY")

_PROXY_EXAMPLE = "the http:// or https:// URL of a proxy, such as http://user:password@proxy.example:3128"
#: The user info of a URL, which may hold a password: everything before the last ``@``.
_USER_INFO = re.compile(r"^(\w+://)?.*@")


@dataclass(frozen=True, slots=True)
class CaBundle:
    """A file with the certificates of trusted authorities, and the variable that names it."""

    path: Path
    variable: str


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """A proxy, and the variable that names it. Its repr shows no credentials."""

    url: str
    variable: str

    @property
    def masked_url(self) -> str:
        """The URL without credentials."""
        return _USER_INFO.sub(r"\1***@", self.url)

    def __repr__(self) -> str:
        return f"EgressProxy({self.masked_url!r}, {self.variable!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The egress proxies by URL scheme."""

    https: EgressProxy | None = None
    http: EgressProxy | None = None
    #: The entries of `NO_PROXY`: hosts that are reached directly.
    direct: tuple[str, ...] = ()

    def for_url(self, url: str) -> EgressProxy | None:
        """Return the proxy for a URL, None if it is reached directly, as loopback always is."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if proxy is None or _is_loopback(host) or any(_matches(entry, host, port) for entry in self.direct):
            return None
        return proxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network settings in force. Methods raise ``CannotStart`` if a named file can't be used."""

    ca_bundle: CaBundle | None = None
    proxies: Proxies = Proxies()
    #: The certificate and key for mutual TLS with upstream. No other server gets them.
    client_certificate: Path | None = None
    client_key: Path | None = None

    def check(self) -> None:
        """Raise ``CannotStart`` with the variable and the remedy if a file can't be used."""
        if (self.client_certificate is None) != (self.client_key is None):
            raise CannotStart(
                "BRIDGE_UPSTREAM_CLIENT_CERTIFICATE and BRIDGE_UPSTREAM_CLIENT_KEY belong together: set both, or none"
            )
        if self.ca_bundle or self.client_certificate:
            self.tls(upstream=True)

    def tls(self, *, upstream: bool = False) -> ssl.SSLContext:
        """Return the TLS context; the one for ``upstream`` presents the client certificate."""
        certificate, key = (self.client_certificate, self.client_key) if upstream else (None, None)
        return _tls_context(self.ca_bundle, certificate, key, self.modification_times())

    def modification_times(self) -> tuple[float, ...]:
        """Return the modification time of each file; 0 for one that is not named or does not exist."""
        files = (self.ca_bundle.path if self.ca_bundle else None, self.client_certificate, self.client_key)
        return tuple(_modification_time(path) for path in files)

    def proxy_of(self, url: str) -> str | None:
        """Return the URL of the proxy for a URL, with its credentials."""
        proxy = self.proxies.for_url(url)
        return proxy.url if proxy else None

    def proxies_of(self, url: str) -> dict[str, str]:
        """Return the proxy by URL scheme, as requests and botocore expect it; empty for a direct connection."""
        proxy = self.proxy_of(url)
        return {urlsplit(url).scheme: proxy} if proxy else {}


#: No proxy, no client certificate, and the public authorities.
DIRECT = Network()


class CurrentTls:
    """The TLS context in force. Renewed files are loaded without a restart."""

    def __init__(self, network: Network, *, upstream: bool = False) -> None:
        self._network = network
        self._upstream = upstream
        #: The modification times of the files when they were last loaded.
        self._loaded_times: tuple[float, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context in force; the last valid one while files are only partly renewed.

        The first call may block and raise ``CannotStart``.
        """
        times = self._network.modification_times()
        if self._context is None:
            self._context = self._network.tls(upstream=self._upstream)
        elif times != self._loaded_times:
            with suppress(CannotStart):
                self._context = self._network.tls(upstream=self._upstream)
        self._loaded_times = times
        return self._context


def network_in(environ: Mapping[str, str]) -> Network:
    """Return the network settings of an environment, for commands that need no other setting. See `proxies_in`."""
    return Network(ca_bundle=ca_bundle_in(environ), proxies=proxies_in(environ))


def ca_bundle_in(environ: Mapping[str, str]) -> CaBundle | None:
    """Return the CA bundle that an environment names."""
    variable = _first_set(CA_BUNDLE, environ)
    return CaBundle(Path(environ[variable]), variable) if variable else None


def proxies_in(environ: Mapping[str, str]) -> Proxies:
    """Return the proxies that an environment names, or raise ``ValueError`` that names the invalid variable."""
    https, http = (_read_proxy(environ, PROXY[scheme]) for scheme in ("https", "http"))
    variable = _first_set(NO_PROXY, environ)
    entries = environ[variable].lower().replace(",", " ").split() if variable else ()
    return Proxies(https=https, http=http, direct=tuple(entries))


def _read_proxy(environ: Mapping[str, str], variables: tuple[str, ...]) -> EgressProxy | None:
    variable = _first_set(variables, environ)
    if not variable:
        return None
    text = environ[variable].strip()
    # curl and others accept a host and port without a scheme, too.
    proxy = EgressProxy(text if "://" in text else f"http://{text}", variable)
    try:
        parts = urlsplit(proxy.url)
        is_proxy = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_proxy = False
    if not is_proxy:
        raise ValueError(f"{variable}={proxy.masked_url!r} must be {_PROXY_EXAMPLE}")
    return proxy


def _first_set(variables: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in variables if environ.get(name, "").strip()), None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _matches(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of `NO_PROXY` matches: a domain and its subdomains, an address, a network, or ``*``."""
    name, _, entry_port = entry.rpartition(":")
    # The last part of an IPv6 address is not a port.
    if entry_port.isdecimal() and (":" not in name or name.endswith("]")):
        if int(entry_port) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        suffix = entry.removeprefix("*").removeprefix(".")
    return entry == "*" or (bool(suffix) and (host == suffix or host.endswith(f".{suffix}")))


def _modification_time(path: Path | None) -> float:
    try:
        return path.stat().st_mtime if path else 0.0
    except OSError:
        return 0.0


@lru_cache(maxsize=8)
def _tls_context(
    bundle: CaBundle | None,
    certificate: Path | None,
    key: Path | None,
    modification_times: tuple[float, ...],  # noqa: ARG001 - part of the cache key
) -> ssl.SSLContext:
    """Return a cached context, because reading some hundred certificates takes a tenth of a second."""
    context = _context_for_authorities(bundle)
    if certificate and key:
        try:
            # An empty password, so that OpenSSL does not prompt for one.
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise CannotStart(
                f"BRIDGE_UPSTREAM_CLIENT_CERTIFICATE={certificate} and BRIDGE_UPSTREAM_CLIENT_KEY={key} can't be used"
                f" ({_reason(error)}): name a certificate and its key, both as PEM, the key without a password"
            ) from error
    return context


def _context_for_authorities(bundle: CaBundle | None) -> ssl.SSLContext:
    if bundle is None:
        context = ssl.create_default_context(cafile=certifi.where())
        # And the authorities that the machine's administrator has added.
        context.load_default_certs()
        return context
    try:
        return ssl.create_default_context(cafile=bundle.path)
    except OSError as error:
        raise CannotStart(
            f"{bundle.variable}={bundle.path} can't be used ({_reason(error)}): name a file with the certificates of"
            " the authorities, as PEM, or unset it"
        ) from error


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason or error.strerror or type(error).__name__
