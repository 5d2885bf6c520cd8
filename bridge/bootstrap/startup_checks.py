# SPDX-License-Identifier: Apache-2.0
"""Startup checks: durability of the store, exposure of the api, TLS files, and a free port."""

import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bridge.config.settings import Settings
from bridge.errors import CannotStart, StoreUnavailable
from bridge.outbox import Outbox


def check_store(outbox: Outbox, warn: Callable[[str], None]) -> None:
    """Raise ``CannotStart`` if the store can lose accepted writes, or holds data that this release can't read.

    Warns of minor problems, and if the store does not respond.
    """
    try:
        # The faults include data that this release can't read.
        durability = outbox.durability()
        if not durability.faults:
            outbox.declare_format()
    except StoreUnavailable as error:
        warn(f"the store does not respond; no write is accepted until it does ({error})")
        return
    if durability.faults:
        raise CannotStart("the store can't be trusted with accepted writes: " + "; ".join(durability.faults))
    for warning in durability.warnings:
        warn(f"the store: {warning}")


def check_exposure(settings: Settings) -> None:
    """Raise ``CannotStart`` if other machines can reach the api without authentication or without TLS."""
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise CannotStart("BRIDGE_TLS_CERT_FILE and BRIDGE_TLS_KEY_FILE belong together: set both, or none")
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate and key and (reason := certificate_error(certificate, key)):
        raise CannotStart(f"BRIDGE_TLS_CERT_FILE={certificate} and BRIDGE_TLS_KEY_FILE={key} can't be used: {reason}")
    if settings.listens_on_loopback and (settings.auth or settings.trusted_proxies is None):
        return
    if settings.listens_on_loopback:
        raise CannotStart(
            "BRIDGE_TRUSTED_PROXIES lets other machines in through a proxy, without authentication: set BRIDGE_AUTH"
        )
    if not settings.auth:
        raise CannotStart(
            f"BRIDGE_HOST={settings.host} can be reached from other machines, and clients need no credentials:"
            " set BRIDGE_AUTH=keys, and create the first key with `mlflow-bridge keys create NAME --admin`"
        )
    if settings.tls_cert_file is None and settings.trusted_proxies is None:
        raise CannotStart(
            f"BRIDGE_HOST={settings.host} can be reached from other machines, without TLS: set BRIDGE_TLS_CERT_FILE"
            " and BRIDGE_TLS_KEY_FILE, or BRIDGE_TRUSTED_PROXIES=1 if a proxy before the api terminates TLS"
        )


def port_in_use(host: str, port: int) -> bool:
    """Return whether a process listens there already. The api shares its port, so it would start without an error."""
    with suppress(OSError):
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as probe:
            # Connections of a former process that still wait for their end are no listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                return error.errno == errno.EADDRINUSE
    return False


def certificate_error(certificate: Path, key: Path) -> str | None:
    """Return why a certificate and its key can't be used, None if they can."""
    try:
        # An empty password, so that OpenSSL does not prompt for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        missing = [str(path) for path in (certificate, key) if not path.is_file()]
        return f"there is no file {missing[0]}" if missing else f"they don't match, or need a password ({error})"
    return None
