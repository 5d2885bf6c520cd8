# SPDX-License-Identifier: Apache-2.0
"""Looks whether an api runs on this machine, where the settings say."""

import datetime as dt
import ipaddress
import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from cryptography import x509

from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckResult, fail, ok, warn
from bridge.process.clock import Clock

_TIMEOUT = 3.0


def api_checks(settings: Settings, *, is_here: bool) -> list[Check]:
    """Return the question to the api; that none answers is a fault only if it ``is_here``."""
    return [Check("api", lambda: _api(settings, must=is_here))] if settings.port else []


def _api(settings: Settings, *, must: bool) -> CheckResult:
    host = _reached_at(settings.host)
    place = f"{host}:{settings.port}"
    try:
        status, body = _health(settings, host)
    except ConnectionRefusedError:
        if must:
            return fail(f"nobody listens on {place}", "start it: `mlflow-bridge-api` (or `mlflow-bridge up`)")
        return ok(f"none runs here ({place}); --api makes that a failure")
    except (OSError, HTTPException) as error:
        return fail(f"{place} does not answer: {type(error).__name__}", "restart it, or free the port")
    if status != 200 or not _is_ours(body):
        return fail(f"another program answers at {place}: status {status}", "free the port, or set BRIDGE_PORT")
    return ok(f"it answers at {place}")


def _reached_at(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    loopback = "127.0.0.1" if address.version == 4 else "::1"
    return loopback if address.is_unspecified else host


def _health(settings: Settings, host: str) -> tuple[int, bytes]:
    if settings.tls_cert_file:
        context = ssl.create_default_context()
        # It is for another name than this address. Nothing secret is sent.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line: HTTPConnection = HTTPSConnection(host, settings.port, timeout=_TIMEOUT, context=context)
    else:
        line = HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    named = next((name for name in settings.allowed_hosts or () if name != "*"), None)
    try:
        line.request("GET", "/healthz", headers={"Host": named} if named else {})
        answer = line.getresponse()
        return answer.status, answer.read(1000)
    finally:
        line.close()


def _is_ours(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"status": "ok"})
    except ValueError:
        return False


#: In less than this somebody has to act.
_SOON = dt.timedelta(days=14)
_NEW = "put a new certificate and its key in their place; it is taken up without a restart"


def certificate_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the question about our own certificate, if the api ends TLS."""
    chain, key = settings.tls_cert_file, settings.tls_key_file
    if not chain or not key:
        return []
    return [Check("tls certificate", lambda: _own(chain, key, clock.now()))]


def _own(chain: Path, key: Path, now: dt.datetime) -> CheckResult:
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


def aged(certificate: x509.Certificate, now: dt.datetime, fix: str) -> CheckResult:
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
