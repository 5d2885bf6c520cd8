# SPDX-License-Identifier: Apache-2.0
"""Checks of upstream, step by step: name resolution, connection, TLS, one signed read, clock."""

import datetime as dt
import email.utils
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from bridge.config.network import DIRECT, Network
from bridge.config.settings import Settings
from bridge.doctor.api import check_validity, subject_names
from bridge.doctor.aws import aws_checks, fix_of, kind_of
from bridge.doctor.checks import Check, CheckResult, compare_clocks, fail, ok, skipped, warn
from bridge.doctor.network import CONNECT_TIMEOUT_S, ProxyRefused, Route, network_checks, proxy_refusal
from bridge.errors import CredentialsUnavailable, InvalidSettings
from bridge.process.clock import Clock
from bridge.upstream.aws.endpoint import Endpoint, SigningScope, endpoint_for
from bridge.upstream.aws.signing import Signer
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.responses import is_call_denied, is_identity_rejected, is_throttled

_SETTINGS = "BRIDGE_UPSTREAM, or BRIDGE_UPSTREAM_ENDPOINT"
_MAX_SHOWN_ADDRESSES = 3
NO_DATE_HEADER = "upstream sent no Date header"
#: The cheapest call of every MLflow version that needs a working database.
_TEST_CALL = "/api/2.0/mlflow/experiments/search?max_results=1"
_TIMEOUT = dt.timedelta(seconds=3)
_MAX_BODY_BYTES = 1 << 16
_MAX_VERSION_LENGTH = 40
_CLIENT_CERTIFICATE_FIX = (
    "if it requires a client certificate, set BRIDGE_UPSTREAM_CLIENT_CERTIFICATE and BRIDGE_UPSTREAM_CLIENT_KEY to a"
    " valid one"
)
#: Raised while the response or its body is read.
_RESPONSE_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def upstream_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks of upstream, and of the AWS credentials if it requires any."""
    try:
        endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    except InvalidSettings as error:
        reason = str(error)
        return [Check("upstream", lambda: fail(reason, "set BRIDGE_UPSTREAM_ENDPOINT"))]
    url, scope = urlsplit(endpoint.url), endpoint.scope
    route = Route(url, settings.network)
    checks = network_checks(route, clock)
    signer = None
    if scope:
        credential_checks, credentials = aws_checks(scope, settings, clock)
        checks += credential_checks
        signer = Signer(scope, credentials, clock=clock)
    if route.proxy is None:
        checks.append(Check("upstream name", lambda: _check_name(route)))
    checks.append(Check("upstream connection", lambda: _check_connection(route), ("upstream name", "proxy")))
    if url.scheme == "https":
        tls_needs = ("upstream connection", "ca bundle", "client certificate")
        checks.append(Check("upstream tls", lambda: _check_tls(route, clock), tls_needs))
    call = _TestCall(endpoint, signer, clock, settings.network)
    needs = ("aws credentials", "aws role", "upstream connection", "upstream tls")
    checks.append(Check("upstream", call.check_response, needs))
    # Does not need `upstream`: a wrong clock is one reason for its failure.
    checks.append(Check("upstream clock", call.check_clock, needs))
    return checks


def _check_name(route: Route) -> CheckResult:
    host, port = route.address
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        fix = f"check {_SETTINGS} and the name server; for a VPC endpoint, its private DNS"
        return fail(f"{host} does not resolve: {error}", fix)
    addresses = list(dict.fromkeys(str(address[0]) for _, _, _, _, address in infos))
    # Without the zone of a link-local IPv6 address.
    is_private = all(ipaddress.ip_address(address.partition("%")[0]).is_private for address in addresses)
    return ok(f"{host} is {', '.join(addresses[:_MAX_SHOWN_ADDRESSES])}{' (private)' if is_private else ''}")


def _check_connection(route: Route) -> CheckResult:
    host, port = route.address
    try:
        with route.connected():
            pass
    except ProxyRefused as error:
        return proxy_refusal(route, error)
    except ConnectionRefusedError:
        return fail(f"no process listens on {host}:{port}", f"start the server, or correct the port in {_SETTINGS}")
    except TimeoutError:
        found = f"{host}:{port} does not respond within {CONNECT_TIMEOUT_S:g} s"
        return fail(found, "allow connections to it: security group, firewall, route")
    except OSError as error:
        return fail(
            f"{host}:{port} can't be reached: {error.strerror or error}", "check the network and the route to it"
        )
    return ok(f"{host}:{port} accepts connections{' through the proxy' if route.proxy else ''}")


def _check_tls(route: Route, clock: Clock) -> CheckResult:
    try:
        # With the CAs that the bridge trusts when it sends.
        certificate = route.certificate(route.network.tls(upstream=True))
    except ssl.SSLCertVerificationError as error:
        return _untrusted(route, error.verify_message)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        if "ALERT" in reason:
            return fail(f"it aborts the TLS handshake: {reason}", _CLIENT_CERTIFICATE_FIX)
        return fail(f"it does not support TLS: {reason}", f"check scheme and port in {_SETTINGS}")
    return check_validity(certificate, clock.now(), "renew the certificate of upstream")


def _untrusted(route: Route, reason: str) -> CheckResult:
    """Return the failure of a certificate that is not trusted, with its names and issuer."""
    context = ssl.create_default_context()
    # Only to read the certificate; nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = route.certificate(context)
    issuer = certificate.issuer.rfc4514_string()
    found = f"the certificate for {subject_names(certificate)}, issued by {issuer}, is not trusted: {reason}"
    if "ostname" in reason or "IP address" in reason:
        return fail(found, f"use one of its names in {_SETTINGS}")
    bundle = route.network.ca_bundle
    variable = bundle.variable if bundle else "BRIDGE_CA_BUNDLE"
    return fail(found, f"if you trust that CA, set {variable} to a file with its certificate")


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _TestCall:
    """A read of one experiment; its response is the subject of two checks."""

    endpoint: Endpoint
    signer: Signer | None
    clock: Clock
    network: Network = DIRECT
    _response: _Response | None = field(default=None, init=False)
    _received_at: dt.datetime | None = field(default=None, init=False)

    def check_response(self) -> CheckResult:
        """Send the call and return the result for its response."""
        try:
            self._response = self._send(_TEST_CALL)
        except CredentialsUnavailable as error:
            return fail(str(error), "see the checks of `aws`")
        except _RESPONSE_ERRORS as error:
            return self._no_response(error)
        self._received_at = self.clock.now()
        if self._response.status == 200 and _is_search_result(self._response.body):
            return ok(f"MLflow {self._version()} responds")
        return _diagnose(self._response, self.endpoint.scope)

    def check_clock(self) -> CheckResult:
        """Compare the local clock with the ``Date`` of the response."""
        header = self._response.headers.get("Date") if self._response else None
        try:
            date = email.utils.parsedate_to_datetime(header) if header else None
        except ValueError:
            date = None
        if date is None or self._received_at is None:
            return skipped(NO_DATE_HEADER)
        return compare_clocks(self._received_at, date if date.tzinfo else date.replace(tzinfo=dt.UTC), "upstream")

    def _no_response(self, error: Exception) -> CheckResult:
        reason = f"it accepts the connection but sends no response: {type(error).__name__}"
        log_fix = "see its log: it hangs, aborts, or is not an HTTP server"
        if self.endpoint.url.startswith("https:") and not isinstance(error, requests.Timeout):
            # In TLS 1.3 a server asks for the certificate after the handshake, so the client may see only a closed
            # connection.
            return fail(reason, _CLIENT_CERTIFICATE_FIX, log_fix)
        return fail(reason, log_fix)

    def _version(self) -> str:
        try:
            response = self._send("/version")
        except (CredentialsUnavailable, *_RESPONSE_ERRORS):
            return "of an unknown version"
        text = response.body[:_MAX_VERSION_LENGTH].decode(errors="replace").strip()
        is_version = response.status == 200 and re.fullmatch(r"\d+\.\d+[\w.+-]*", text)
        return text if is_version else "of an unknown version"

    def _send(self, target: str) -> _Response:
        upstream = HttpUpstream(
            self.endpoint,
            self.signer,
            clock=self.clock,
            connect_timeout=_TIMEOUT,
            read_timeout=_TIMEOUT,
            network=self.network,
        )
        with upstream.get(target, timeout=_TIMEOUT) as response:
            body = response.raw.read(_MAX_BODY_BYTES, decode_content=True)
        return _Response(response.status_code, response.headers, body)


def _is_search_result(body: bytes) -> bool:
    fields = _fields(body)
    # MLflow omits empty fields: without an experiment, the response is an empty object.
    return fields is not None and (not fields or "experiments" in fields)


def _fields(body: bytes) -> dict[str, object] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _diagnose(response: _Response, scope: SigningScope | None) -> CheckResult:
    status, headers, body = response.status, response.headers, response.body
    if scope and (is_identity_rejected(status, headers, body) or is_call_denied(status, headers, body)):
        return _aws_failure(response, scope)
    if is_throttled(status, headers, body):
        return warn(f"status {status}: it throttles", "try again; if it persists, lower BRIDGE_UPSTREAM_RATE")
    return _not_found(scope) if status == 404 else _server_failure(status, headers)


def _server_failure(status: int, headers: Mapping[str, str]) -> CheckResult:
    if status in (401, 403):
        return fail(
            f"status {status}: it requires a login that the bridge does not have", "allow the bridge without login"
        )
    if 300 <= status < 400:
        target = urlsplit(headers.get("Location", ""))
        fix = f"use the target of the redirect in {_SETTINGS}"
        return fail(f"status {status}: it redirects to {target.scheme}://{target.hostname}", fix)
    if status == 508:
        return fail("status 508: it is this bridge itself", f"name an MLflow server in {_SETTINGS}")
    if status >= 500:
        return fail(f"status {status}: the server or a gateway before it fails", "see its log and its status")
    return fail(
        f"status {status}, not a response of MLflow", "check that the address is MLflow's, including the prefix"
    )


def _aws_failure(response: _Response, scope: SigningScope) -> CheckResult:
    fields = _fields(response.body) or {}
    message = str(fields.get("message") or fields.get("Message") or "")
    code = (response.headers.get("x-amzn-ErrorType") or str(fields.get("__type") or "")).split(":")[0]
    kind = kind_of(code, message)
    is_app = ":mlflow-app/" in scope.arn
    action = "sagemaker:CallMlflowAppApi" if is_app else "sagemaker-mlflow:SearchExperiments"
    others = "" if is_app else ", and the other sagemaker-mlflow: actions that clients use"
    allow_fix = f"allow {action} on {scope.arn}{others}"
    found = {
        "clock": "AWS refuses our signature for its time",
        "denied": "AWS accepts our identity but denies the call",
        "signature": f"AWS refuses our signature for {scope.service} in {scope.region}",
    }.get(kind, "AWS refuses our credentials")
    fix = fix_of(kind, allow_fix, f"{allow_fix}; check that the address is AWS's own and no firewall responds instead")
    return fail(f"{found}: status {response.status} {code}".rstrip(), fix)


def _not_found(scope: SigningScope | None) -> CheckResult:
    if scope is None:
        return fail("status 404: no MLflow at this address", "correct BRIDGE_UPSTREAM: host, port, path prefix")
    resource = "App" if ":mlflow-app/" in scope.arn else "tracking server"
    start = "" if resource == "App" else ", or start it if it is stopped"
    return fail(
        f"status 404: there is no such {resource} in {scope.region}, or it is stopped",
        f"check the ARN in BRIDGE_UPSTREAM{start}",
    )
