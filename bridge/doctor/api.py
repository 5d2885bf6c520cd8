# SPDX-License-Identifier: Apache-2.0
"""Looks whether an api runs on this machine, where the settings say."""

import ipaddress
import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from bridge.doctor.checks import Check, Opinion, fail, ok
from bridge.settings import Settings

_TIMEOUT = 3.0


def api_checks(settings: Settings, *, is_here: bool) -> list[Check]:
    """Return the question to the api; that none answers is a fault only if it ``is_here``."""
    return [Check("api", lambda: _api(settings, must=is_here))] if settings.port else []


def _api(settings: Settings, *, must: bool) -> Opinion:
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
    if settings.tls_certificate:
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
