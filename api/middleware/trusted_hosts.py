# SPDX-License-Identifier: Apache-2.0
"""Keeps web pages of others from using the bridge through the browser of somebody who can reach it.

MLflow does the same for itself; it can't for the bridge, which asks it under MLflow's own name and without ``Origin``.
"""

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from api.http.request import Request
from bridge.config.settings import Settings
from schemas.errors import InvalidWrite

#: They tell nothing, and whoever looks whether the process is up does not know its name.
_OPEN = frozenset({"/healthz", "/readyz", "/health", "/version"})
#: Of a name of DNS (RFC 1035, section 2.3.4) with a port.
_LONGEST = 255 + 6
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class TrustedHosts:
    """Knows under which names the api may be asked, and from which pages."""

    def __init__(self, settings: Settings) -> None:
        allowed = settings.allowed_hosts
        if allowed is None:
            # A name that leads to a loopback address is one that somebody has pointed there (DNS rebinding).
            allowed = ("localhost",) if settings.listens_on_loopback else ("*",)
        self._allowed = frozenset(allowed)
        self._named = frozenset(settings.allowed_hosts or ()) - {"*"}

    def check(self, request: Request) -> None:
        """Raise ``InvalidWrite`` (403) for a request that a page of somebody else may have made."""
        if "*" not in self._allowed and request.path not in _OPEN:
            host = request.header(b"host") or ""
            name = _name(host)
            if not _is_old_program(request, host) and name not in self._allowed and not _is_address(name):
                raise _refusal(f"The name {name[:100]!r} is not one of BRIDGE_ALLOWED_HOSTS.")
        origin = request.header(b"origin")
        if origin is not None and request.method not in _READS and not self._is_own(origin, request):
            raise _refusal("The request comes from a page of another site (its Origin).")

    def _is_own(self, origin: str, request: Request) -> bool:
        """Whether a page of this origin was loaded from the bridge, whatever ends TLS in front of it."""
        with suppress(ValueError):
            netloc = urlsplit(origin).netloc
            own = _plain(netloc) == _plain(request.header(b"host") or "")
            # A proxy may have put another name into Host; the browser knows the one that is allowed.
            return bool(netloc) and (own or _name(netloc) in self._named)
        return False


def _is_old_program(request: Request, host: str) -> bool:
    """Whether it is a request of HTTP/1.0 without a host. Every browser sends one, and speaks a later HTTP."""
    # The server hands over an empty Host for one that is missing. A request of HTTP/1.1 must have one.
    return not host and request.scope.get("http_version") in ("1", "1.0")


def _name(netloc: str) -> str:
    """Return the host without its port, in lower case; nothing for what is no host, such as one with a user's name."""
    return _host_of(netloc) if len(netloc) <= _LONGEST and "@" not in netloc else ""


# Nearly all requests name the same host, and to read it costs as much as to read a small write.
@lru_cache(256)
def _host_of(netloc: str) -> str:
    with suppress(ValueError):
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    return ""


def _plain(netloc: str) -> str:
    """Return host and port in lower case, without a port that goes without saying."""
    return re.sub(r":(80|443)$", "", netloc.lower())


@lru_cache(256)
def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def _refusal(text: str) -> InvalidWrite:
    return InvalidWrite(text, "PERMISSION_DENIED", 403)
