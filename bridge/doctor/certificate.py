# SPDX-License-Identifier: Apache-2.0
"""Reads certificates, and says what is wrong with the one that the api shows."""

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509

from bridge.clock import Clock
from bridge.doctor.checks import Check, Opinion, fail, ok, warn
from bridge.settings import Settings

#: In less than this somebody has to act.
_SOON = dt.timedelta(days=14)
_NEW = "put a new certificate and its key in their place; it is taken up without a restart"


def certificate_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the question about our own certificate, if the api ends TLS."""
    chain, key = settings.tls_certificate, settings.tls_key
    if not chain or not key:
        return []
    return [Check("tls certificate", lambda: _own(chain, key, clock.now()))]


def _own(chain: Path, key: Path, now: dt.datetime) -> Opinion:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
        certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            return fail("the key is not this certificate's", f"{_NEW}, both of one pair")
        return fail(f"they can't be read: {error.reason or error}", "write both as PEM, the key without a password")
    except (OSError, ValueError) as error:
        return fail(f"they can't be read: {error}", "name files that this user may read")
    return aged(certificate, now, _NEW)


def aged(certificate: x509.Certificate, now: dt.datetime, fix: str) -> Opinion:
    """Return what a certificate's dates come to, with its names."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    found = f"for {names(certificate)}, ends {ends:%Y-%m-%d}"
    if now > ends:
        return fail(f"{found}: it has expired", fix)
    if now < begins:
        return fail(f"{found}: it begins only {begins:%Y-%m-%d %H:%M}Z", fix)
    if ends - now < _SOON:
        return warn(f"{found}, in {(ends - now).days} days", fix)
    return ok(found)


def names(certificate: x509.Certificate) -> str:
    """Return for whom a certificate is."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return certificate.subject.rfc4514_string() or "nobody"
    return ", ".join(str(each.value) for each in found) or "nobody"
