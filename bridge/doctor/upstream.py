# SPDX-License-Identifier: Apache-2.0
"""Goes the way to upstream step by step: its name, a connection, TLS, a signed call that reads."""

import ipaddress
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

import certifi
from cryptography import x509

from bridge.clock import Clock
from bridge.doctor.answer import Conversation
from bridge.doctor.aws import aws_checks
from bridge.doctor.certificate import aged, names
from bridge.doctor.checks import Check, Opinion, fail, ok
from bridge.errors import InvalidSettings
from bridge.sagemaker.endpoint import endpoint_for
from bridge.sagemaker.signing import Signer
from bridge.settings import Settings

_TIMEOUT = 3.0
_NAMED = "BRIDGE_UPSTREAM, or BRIDGE_UPSTREAM_ENDPOINT"
_SHOWN = 3


def upstream_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the questions about upstream, and about the credentials for it if it wants any."""
    try:
        endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    except InvalidSettings as error:
        why = str(error)
        return [Check("upstream", lambda: fail(why, "set BRIDGE_UPSTREAM_ENDPOINT"))]
    url, scope = urlsplit(endpoint.url), endpoint.scope
    checks: list[Check] = []
    signer = None
    if scope:
        checks, credentials = aws_checks(scope, settings, clock)
        signer = Signer(scope, credentials)
    checks.append(Check("upstream name", lambda: _name(url)))
    checks.append(Check("upstream connection", lambda: _connection(url), ("upstream name",)))
    if url.scheme == "https":
        checks.append(Check("upstream tls", lambda: _tls(url, clock), ("upstream connection",)))
    conversation = Conversation(endpoint, signer, clock)
    needs = ("aws credentials", "aws role", "upstream connection", "upstream tls")
    checks.append(Check("upstream", conversation.opinion, needs))
    # Also where upstream has refused: a clock that is wrong is one reason for it.
    checks.append(Check("upstream clock", conversation.clock_opinion, needs))
    return checks


def _place(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _name(url: SplitResult) -> Opinion:
    host, port = _place(url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        fix = f"check {_NAMED} and the name server; behind a VPC endpoint, its private DNS"
        return fail(f"{host} does not resolve: {error}", fix)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = all(ipaddress.ip_address(each.partition("%")[0]).is_private for each in addresses)
    return ok(f"{host} is {', '.join(addresses[:_SHOWN])}{' (private)' if private else ''}")


def _connection(url: SplitResult) -> Opinion:
    host, port = _place(url)
    try:
        socket.create_connection((host, port), timeout=_TIMEOUT).close()
    except ConnectionRefusedError:
        return fail(f"nobody listens on {host}:{port}", f"start the server, or mend the port in {_NAMED}")
    except TimeoutError:
        return fail(
            f"{host}:{port} does not answer within {_TIMEOUT:g} s", "open the way: security group, firewall, route"
        )
    except OSError as error:
        return fail(f"{host}:{port} can't be reached: {error.strerror or error}", "mend the network or the route to it")
    return ok(f"{host}:{port} takes connections")


def _tls(url: SplitResult, clock: Clock) -> Opinion:
    place = _place(url)
    # The same authorities as the bridge trusts when it sends.
    context = ssl.create_default_context(cafile=certifi.where())
    try:
        certificate = _shown(context, place)
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(place, error.verify_message)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        return fail(f"no TLS is spoken there: {why}", f"check scheme and port in {_NAMED}")
    return aged(certificate, clock.now(), "have upstream's certificate renewed")


def _not_trusted(place: tuple[str, int], why: str) -> Opinion:
    context = ssl.create_default_context()
    # Only to look at it: nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = _shown(context, place)
    issuer = certificate.issuer.rfc4514_string()
    found = f"the certificate for {names(certificate)}, issued by {issuer}, is not trusted: {why}"
    if "ostname" in why or "IP address" in why:
        return fail(found, f"use a name that it is for in {_NAMED}")
    return fail(found, "a proxy may stand on the way; else have a public authority sign it (the bridge trusts certifi)")


def _shown(context: ssl.SSLContext, place: tuple[str, int]) -> x509.Certificate:
    with (
        socket.create_connection(place, timeout=_TIMEOUT) as line,
        context.wrap_socket(line, server_hostname=place[0]) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
