# SPDX-License-Identifier: Apache-2.0
"""Goes the way to upstream step by step: its name, a connection, TLS, a signed call that reads."""

import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

from bridge.clock import Clock
from bridge.doctor.answer import WANTS_CERTIFICATE, Conversation
from bridge.doctor.aws import aws_checks
from bridge.doctor.certificate import aged, names
from bridge.doctor.checks import Check, Opinion, fail, ok
from bridge.doctor.way import TIMEOUT, Turned, Way, turned, way_checks
from bridge.errors import InvalidSettings
from bridge.sagemaker.endpoint import endpoint_for
from bridge.sagemaker.signing import Signer
from bridge.settings import Settings

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


def _name(way: Way) -> Opinion:
    host, port = way.place
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        fix = f"check {_NAMED} and the name server; behind a VPC endpoint, its private DNS"
        return fail(f"{host} does not resolve: {error}", fix)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = all(ipaddress.ip_address(each.partition("%")[0]).is_private for each in addresses)
    return ok(f"{host} is {', '.join(addresses[:_SHOWN])}{' (private)' if private else ''}")


def _connection(way: Way) -> Opinion:
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


def _tls(way: Way, clock: Clock) -> Opinion:
    try:
        # The same authorities as the bridge trusts when it sends.
        certificate = way.certificate(way.network.tls(upstream=True))
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(way, error.verify_message)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        if "ALERT" in why:
            return fail(f"it breaks TLS off: {why}", WANTS_CERTIFICATE)
        return fail(f"no TLS is spoken there: {why}", f"check scheme and port in {_NAMED}")
    return aged(certificate, clock.now(), "have upstream's certificate renewed")


def _not_trusted(way: Way, why: str) -> Opinion:
    context = ssl.create_default_context()
    # Only to look at it: nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = way.certificate(context)
    issuer = certificate.issuer.rfc4514_string()
    found = f"the certificate for {names(certificate)}, issued by {issuer}, is not trusted: {why}"
    if "ostname" in why or "IP address" in why:
        return fail(found, f"use a name that it is for in {_NAMED}")
    bundle = way.network.ca_bundle
    variable = bundle.variable if bundle else "BRIDGE_CA_BUNDLE"
    return fail(found, f"name a file with the certificate of that authority in {variable}, if it is one of yours")
