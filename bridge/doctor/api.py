# SPDX-License-Identifier: Apache-2.0
"""Checks of the api on this machine, and of its TLS certificate."""

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

_TIMEOUT_S = 3.0
#: Of a response, which may come from another program.
_MAX_BODY_BYTES = 1000
#: A warning leaves this time to renew a certificate.
_EXPIRES_SOON = dt.timedelta(days=14)
_RENEW_FIX = "replace the certificate and its key; the api loads them without a restart"


def api_checks(settings: Settings, *, is_here: bool) -> list[Check]:
    """Return the check of the api. With ``is_here``, a missing api is a failure."""
    return [Check("api", lambda: _check_api(settings, must_run=is_here))] if settings.port else []


def _check_api(settings: Settings, *, must_run: bool) -> CheckResult:
    host = _connect_host(settings.host)
    address = f"{host}:{settings.port}"
    try:
        status, body = _request_health(settings, host)
    except ConnectionRefusedError:
        if must_run:
            return fail(f"no process listens on {address}", "start it: `mlflow-bridge-api` (or `mlflow-bridge up`)")
        return ok(f"none runs here ({address}); --api makes this a failure")
    except (OSError, HTTPException) as error:
        return fail(f"{address} does not respond: {type(error).__name__}", "restart it, or free the port")
    if status != 200 or not _is_bridge(body):
        return fail(f"another program responds at {address}: status {status}", "free the port, or set BRIDGE_PORT")
    return ok(f"it responds at {address}")


def _connect_host(host: str) -> str:
    """Return the address to connect to: loopback if the api listens on all addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    loopback = "127.0.0.1" if address.version == 4 else "::1"
    return loopback if address.is_unspecified else host


def _request_health(settings: Settings, host: str) -> tuple[int, bytes]:
    """Return the status and the body of the response of ``/healthz``."""
    if settings.tls_cert_file:
        context = ssl.create_default_context()
        # The certificate is for another name than this address; the request holds no secret.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(host, settings.port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = HTTPConnection(host, settings.port, timeout=_TIMEOUT_S)
    host_header = next((name for name in settings.allowed_hosts or () if name != "*"), None)
    try:
        connection.request("GET", "/healthz", headers={"Host": host_header} if host_header else {})
        response = connection.getresponse()
        return response.status, response.read(_MAX_BODY_BYTES)
    finally:
        connection.close()


def _is_bridge(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"status": "ok"})
    except ValueError:
        return False


def certificate_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the check of the api's certificate, if the api terminates TLS."""
    chain, key = settings.tls_cert_file, settings.tls_key_file
    if not chain or not key:
        return []
    return [Check("tls certificate", lambda: _check_certificate(chain, key, clock.now()))]


def _check_certificate(chain: Path, key: Path, now: dt.datetime) -> CheckResult:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
        certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            return fail("the key does not belong to the certificate", f"{_RENEW_FIX}; both must be of one pair")
        return fail(f"they can't be read: {error.reason or error}", "store both as PEM, the key without a password")
    except (OSError, ValueError) as error:
        return fail(f"they can't be read: {error}", "name files that this user can read")
    return check_validity(certificate, now, _RENEW_FIX)


def check_validity(certificate: x509.Certificate, now: dt.datetime, fix: str) -> CheckResult:
    """Return the result for a certificate's validity period, with its names."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    found = f"for {subject_names(certificate)}, expires {ends:%Y-%m-%d}"
    if now > ends:
        return fail(f"{found}: it has expired", fix)
    if now < begins:
        return fail(f"{found}: it is not valid before {begins:%Y-%m-%d %H:%M}Z", fix)
    if ends - now < _EXPIRES_SOON:
        return warn(f"{found}, in {(ends - now).days} days", fix)
    return ok(found)


def subject_names(certificate: x509.Certificate) -> str:
    """Return the names that a certificate is valid for."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return certificate.subject.rfc4514_string() or "no name"
    return ", ".join(str(name.value) for name in alternatives) or "no name"
