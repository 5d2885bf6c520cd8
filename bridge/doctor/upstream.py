# SPDX-License-Identifier: Apache-2.0
"""Goes the way to upstream step by step: its name, a connection, TLS, a signed call that reads."""

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
from bridge.doctor.api import aged, names
from bridge.doctor.aws import aws_checks, fix_of, kind_of
from bridge.doctor.checks import Check, CheckResult, compared, fail, ok, skipped, warn
from bridge.doctor.network import TIMEOUT, Turned, Way, turned, way_checks
from bridge.errors import CredentialsUnavailable, InvalidSettings
from bridge.process.clock import Clock
from bridge.upstream.aws.endpoint import Endpoint, SigningScope, endpoint_for
from bridge.upstream.aws.signing import Signer
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.responses import is_call_denied, is_identity_rejected

_NAMED = "BRIDGE_UPSTREAM, or BRIDGE_UPSTREAM_ENDPOINT"
_SHOWN = 3


def upstream_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the questions about upstream, and about the credentials for it if it wants any."""
    try:
        endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    except InvalidSettings as error:
        reason = str(error)
        return [Check("upstream", lambda: fail(reason, "set BRIDGE_UPSTREAM_ENDPOINT"))]
    url, scope = urlsplit(endpoint.url), endpoint.scope
    way = Way(url, settings.network)
    checks = way_checks(way, clock)
    signer = None
    if scope:
        of_aws, credentials = aws_checks(scope, settings, clock)
        checks += of_aws
        signer = Signer(scope, credentials)
    if way.proxy is None:
        checks.append(Check("upstream name", lambda: _name(way)))
    checks.append(Check("upstream connection", lambda: _connection(way), ("upstream name", "proxy")))
    if url.scheme == "https":
        needed = ("upstream connection", "ca bundle", "client certificate")
        checks.append(Check("upstream tls", lambda: _tls(way, clock), needed))
    conversation = Conversation(endpoint, signer, clock, settings.network)
    needs = ("aws credentials", "aws role", "upstream connection", "upstream tls")
    checks.append(Check("upstream", conversation.opinion, needs))
    # Also where upstream has refused: a clock that is wrong is one reason for it.
    checks.append(Check("upstream clock", conversation.clock_opinion, needs))
    return checks


def _name(way: Way) -> CheckResult:
    host, port = way.place
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        fix = f"check {_NAMED} and the name server; behind a VPC endpoint, its private DNS"
        return fail(f"{host} does not resolve: {error}", fix)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = all(ipaddress.ip_address(each.partition("%")[0]).is_private for each in addresses)
    return ok(f"{host} is {', '.join(addresses[:_SHOWN])}{' (private)' if private else ''}")


def _connection(way: Way) -> CheckResult:
    host, port = way.place
    try:
        with way.opened():
            pass
    except Turned as error:
        return turned(way, error)
    except ConnectionRefusedError:
        return fail(f"nobody listens on {host}:{port}", f"start the server, or mend the port in {_NAMED}")
    except TimeoutError:
        return fail(
            f"{host}:{port} does not answer within {TIMEOUT:g} s", "open the way: security group, firewall, route"
        )
    except OSError as error:
        return fail(f"{host}:{port} can't be reached: {error.strerror or error}", "mend the network or the route to it")
    return ok(f"{host}:{port} takes connections{' through the proxy' if way.proxy else ''}")


def _tls(way: Way, clock: Clock) -> CheckResult:
    try:
        # The same authorities as the bridge trusts when it sends.
        certificate = way.certificate(way.network.tls(upstream=True))
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(way, error.verify_message)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        if "ALERT" in reason:
            return fail(f"it breaks TLS off: {reason}", WANTS_CERTIFICATE)
        return fail(f"no TLS is spoken there: {reason}", f"check scheme and port in {_NAMED}")
    return aged(certificate, clock.now(), "have upstream's certificate renewed")


def _not_trusted(way: Way, reason: str) -> CheckResult:
    context = ssl.create_default_context()
    # Only to look at it: nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = way.certificate(context)
    issuer = certificate.issuer.rfc4514_string()
    found = f"the certificate for {names(certificate)}, issued by {issuer}, is not trusted: {reason}"
    if "ostname" in reason or "IP address" in reason:
        return fail(found, f"use a name that it is for in {_NAMED}")
    bundle = way.network.ca_bundle
    variable = bundle.variable if bundle else "BRIDGE_CA_BUNDLE"
    return fail(found, f"name a file with the certificate of that authority in {variable}, if it is one of yours")


#: The cheapest call that every MLflow version has and that needs a working database behind it.
_TARGET = "/api/2.0/mlflow/experiments/search?max_results=1"
_TIMEOUT = dt.timedelta(seconds=3)
_MOST = 1 << 16
WANTS_CERTIFICATE = (
    "if it asks for a client certificate, name a good one in BRIDGE_UPSTREAM_CLIENT_CERTIFICATE and"
    " BRIDGE_UPSTREAM_CLIENT_KEY"
)
#: What can go wrong while an answer, or its body, is read.
_NO_ANSWER = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Conversation:
    """One call, and what is learned from it."""

    endpoint: Endpoint
    signer: Signer | None
    clock: Clock
    network: Network = DIRECT
    _reply: _Reply | None = field(default=None, init=False)
    _at: dt.datetime | None = field(default=None, init=False)

    def opinion(self) -> CheckResult:
        """Ask for one experiment and return what came of it."""
        try:
            self._reply = self._ask(_TARGET)
        except CredentialsUnavailable as error:
            return fail(str(error), "see the checks of `aws`")
        except _NO_ANSWER as error:
            return self._unanswered(error)
        self._at = self.clock.now()
        if self._reply.status == 200 and _is_mlflows(self._reply.body):
            return ok(f"MLflow {self._version()} answers")
        return _meaning(self._reply, self.endpoint.scope)

    def _unanswered(self, error: Exception) -> CheckResult:
        reason = f"it takes the connection, but gives no answer: {type(error).__name__}"
        fixes = ["look into its log: it hangs, or breaks off, or is no HTTP server"]
        if self.endpoint.url.startswith("https:") and not isinstance(error, requests.Timeout):
            # It says so only after the handshake, and its words get lost if it then just leaves (TLS 1.3).
            fixes.insert(0, WANTS_CERTIFICATE)
        return fail(reason, fixes[0], *fixes[1:])

    def clock_opinion(self) -> CheckResult:
        """Compare our clock with what the answer says that it is."""
        said = self._reply.headers.get("Date") if self._reply else None
        try:
            date = email.utils.parsedate_to_datetime(said) if said else None
        except ValueError:
            date = None
        if date is None or self._at is None:
            return skipped("upstream did not tell the time")
        return compared(self._at, date if date.tzinfo else date.replace(tzinfo=dt.UTC), "upstream")

    def _version(self) -> str:
        try:
            reply = self._ask("/version")
        except (CredentialsUnavailable, *_NO_ANSWER):
            return "of an unknown version"
        text = reply.body[:40].decode(errors="replace").strip()
        plain = reply.status == 200 and re.fullmatch(r"\d+\.\d+[\w.+-]*", text)
        return text if plain else "of an unknown version"

    def _ask(self, target: str) -> _Reply:
        upstream = HttpUpstream(
            self.endpoint,
            self.signer,
            clock=self.clock,
            connect_timeout=_TIMEOUT,
            read_timeout=_TIMEOUT,
            network=self.network,
        )
        with upstream.ask(target, timeout=_TIMEOUT) as response:
            body = response.raw.read(_MOST, decode_content=True)
        return _Reply(response.status_code, response.headers, body)


def _is_mlflows(body: bytes) -> bool:
    fields = _fields(body)
    # What is empty is left out: a server without an experiment answers with an empty object.
    return fields is not None and (not fields or "experiments" in fields)


def _fields(body: bytes) -> dict[str, object] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _meaning(reply: _Reply, scope: SigningScope | None) -> CheckResult:
    status = reply.status
    if scope and (
        is_identity_rejected(status, reply.headers, reply.body) or is_call_denied(status, reply.headers, reply.body)
    ):
        return _refused(reply, scope)
    return _not_found(scope) if status == 404 else _of_server(status, reply.headers)


def _of_server(status: int, headers: Mapping[str, str]) -> CheckResult:
    if status in (401, 403):
        return fail(f"status {status}: it wants a login, and the bridge has none for it", "let the bridge in without")
    if 300 <= status < 400:
        to = urlsplit(headers.get("Location", ""))
        fix = "name the address that it redirects to in BRIDGE_UPSTREAM, or BRIDGE_UPSTREAM_ENDPOINT"
        return fail(f"status {status}: it redirects to {to.scheme}://{to.hostname}", fix)
    if status == 508:
        return fail("status 508: it is this bridge itself", "name an MLflow in BRIDGE_UPSTREAM, or its endpoint")
    if status == 429:
        return warn("status 429: it throttles", "look again; if it stays so, lower BRIDGE_UPSTREAM_RATE")
    if status >= 500:
        return fail(f"status {status}: it, or a gateway before it, is in trouble", "look at its log and its status")
    return fail(f"status {status}, but not as MLflow answers", "check that the address is MLflow's, prefix included")


def _refused(reply: _Reply, scope: SigningScope) -> CheckResult:
    words = _fields(reply.body) or {}
    message = str(words.get("message") or words.get("Message") or "")
    code = (reply.headers.get("x-amzn-ErrorType") or str(words.get("__type") or "")).split(":")[0]
    kind = kind_of(code, message)
    of_app = ":mlflow-app/" in scope.arn
    action = "sagemaker:CallMlflowAppApi" if of_app else "sagemaker-mlflow:SearchExperiments"
    further = "" if of_app else ", and the other sagemaker-mlflow: actions that clients use"
    denied = f"allow {action} on {scope.arn}{further}"
    found = {
        "clock": "AWS refuses our signature for its time",
        "denied": "AWS knows us, and does not allow the call",
        "signature": f"AWS refuses our signature for {scope.service} in {scope.region}",
    }.get(kind, "AWS refuses our credentials")
    fix = fix_of(kind, denied, f"{denied}, if the address is AWS's own and no firewall answers in its place")
    return fail(f"{found}: status {reply.status} {code}".rstrip(), fix)


def _not_found(scope: SigningScope | None) -> CheckResult:
    if scope is None:
        return fail("status 404: there is no MLflow at this address", "mend BRIDGE_UPSTREAM: host, port, path prefix")
    what = "App" if ":mlflow-app/" in scope.arn else "tracking server"
    start = "" if what == "App" else ", or start it if it is stopped"
    return fail(
        f"status 404: there is no such {what} in {scope.region}, or it does not run",
        f"check the ARN in BRIDGE_UPSTREAM{start}",
    )
