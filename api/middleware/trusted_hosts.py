# SPDX-License-Identifier: Apache-2.0
"""Host and Origin checks, against web pages of other sites that use a user's browser (DNS rebinding, CSRF).

MLflow has such checks, too. They do not work behind the bridge, which sends MLflow's own Host and no ``Origin``.
"""

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from api.http.request import Request
from bridge.config.settings import Settings
from schemas.errors import InvalidWrite

#: Probes of load balancers do not know the host name, and these responses contain no secrets.
_PROBE_PATHS = frozenset({"/healthz", "/readyz", "/health", "/version"})
#: A DNS name (RFC 1035, section 2.3.4) and a port.
_MAX_NETLOC_LENGTH = 255 + 6
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TrustedHosts:
    """The host names and origins that requests may have."""

    def __init__(self, settings: Settings) -> None:
        browser_hosts = frozenset(name for name in (_public_name(settings), settings.console_host) if name)
        allowed = settings.allowed_hosts
        if allowed is None:
            # On a loopback address, any other name was pointed there by a third party (DNS rebinding).
            allowed = ("localhost",) if settings.listens_on_loopback or browser_hosts else ("*",)
        self._allowed = frozenset(allowed) | browser_hosts
        #: Without the default: a page of ``localhost`` may be that of another program.
        self._origin_hosts = (frozenset(settings.allowed_hosts or ()) | browser_hosts) - {"*"}

    def check(self, request: Request) -> None:
        """Raise ``InvalidWrite`` (403) for a request that a page of another site may have sent."""
        if "*" not in self._allowed and request.path not in _PROBE_PATHS:
            host = request.header(b"host") or ""
            name = _host_name(host)
            if not _has_no_host(request, host) and name not in self._allowed and not _is_address(name):
                raise _forbidden(f"The name {name[:100]!r} is not one of BRIDGE_ALLOWED_HOSTS.")
        origin = request.header(b"origin")
        if origin is not None and request.method not in _SAFE_METHODS and not self._is_same_origin(origin, request):
            raise _forbidden("The request comes from a page of another site (its Origin).")

    def _is_same_origin(self, origin: str, request: Request) -> bool:
        """Return whether an origin is the bridge's own. The scheme may differ: a proxy may terminate TLS."""
        with suppress(ValueError):
            netloc = urlsplit(origin).netloc
            is_same = _without_default_port(netloc) == _without_default_port(request.header(b"host") or "")
            # A proxy may have replaced Host; the browser knows the configured name.
            return bool(netloc) and (is_same or _host_name(netloc) in self._origin_hosts)
        return False


def _public_name(settings: Settings) -> str | None:
    return urlsplit(settings.public_url).hostname if settings.public_url else None


def _has_no_host(request: Request, host: str) -> bool:
    """Return whether it is a request of HTTP/1.0 without Host. No browser sends such requests."""
    # The server passes an empty Host for a missing one. In HTTP/1.1 the header is mandatory.
    return not host and request.scope.get("http_version") in ("1", "1.0")


def _host_name(netloc: str) -> str:
    """Return the host without its port, in lower case; an empty string for an invalid one or one with credentials."""
    return _parse_host(netloc) if len(netloc) <= _MAX_NETLOC_LENGTH and "@" not in netloc else ""


# Nearly all requests have the same host, and to parse it costs as much as to parse a small write.
@lru_cache(256)
def _parse_host(netloc: str) -> str:
    with suppress(ValueError):
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    return ""


def _without_default_port(netloc: str) -> str:
    return re.sub(r":(80|443)$", "", netloc.lower())


@lru_cache(256)
def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def _forbidden(text: str) -> InvalidWrite:
    return InvalidWrite(text, "PERMISSION_DENIED", 403)
