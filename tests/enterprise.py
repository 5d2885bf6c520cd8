# SPDX-License-Identifier: Apache-2.0
"""A company's network on loopback: an authority of its own, a front that ends TLS, an egress proxy."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Place = tuple[str, int]


class Authority:
    """An authority that only its own company trusts."""

    def __init__(self, directory: Path, name: str = "company authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = _builder(self._name, self._name, self._key, 30).add_extension(constraints, critical=True)
        #: Its own certificate, which is a CA bundle.
        self.bundle = directory / "ca.pem"
        self.bundle.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str, days: float = 30) -> tuple[Path, Path]:
        """A certificate for these names or addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        made = _builder(subject, self._name, key, days).add_extension(alternatives, critical=False)
        chain, private = (self._directory / f"{names[0]}.{kind}" for kind in ("pem", "key"))
        chain.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return chain, private


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    begins, ends = now - dt.timedelta(days=1), now + dt.timedelta(days=days)
    return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begins, ends)


def _general(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


class _Server:
    """Accepts connections on loopback, each served by a thread, for as long as the `with` lasts."""

    def __enter__(self) -> Self:
        self._server = socket.create_server(("", 0), backlog=200)
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no further connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._server.accept()
                threading.Thread(target=self._guarded, args=(line,), daemon=True).start()

    def _guarded(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            self.serve(line)

    def serve(self, line: socket.socket) -> None:
        raise NotImplementedError


@dataclass
class Relay(_Server):
    """Another address of a plain server."""

    target: Callable[[], str]
    connections: int = 0

    def serve(self, line: socket.socket) -> None:
        self.connections += 1
        with socket.create_connection(place_of(self.target())) as end:
            _join(line, end)


@dataclass
class TlsFront(_Server):
    """Ends TLS before a plain server, and may ask who comes."""

    #: A certificate and its key.
    files: tuple[Path, Path]
    #: Where the plain server is; asked at each connection.
    target: Callable[[], str]
    #: The authority of those who may come; None lets everybody in.
    clients_of: Authority | None = None
    #: Common names of those who have come.
    came: list[str] = field(default_factory=list)

    def serve(self, line: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files)
        if self.clients_of:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.clients_of.bundle)
        with (
            context.wrap_socket(line, server_side=True) as tls,
            socket.create_connection(place_of(self.target())) as end,
        ):
            shown = tls.getpeercert(binary_form=True)
            if shown:
                self.came.append(x509.load_der_x509_certificate(shown).subject.rfc4514_string())
            _join(tls, end)


@dataclass
class EgressProxy(_Server):
    """A proxy that leads to the places that it knows: by CONNECT, and for plain requests by their whole URL."""

    #: Name and port of each place, and where it is in truth; asked at each request.
    places: dict[str, Callable[[], str]] = field(default_factory=dict)
    #: `user:password`, if it wants any.
    login: str | None = None
    #: With it, the proxy itself speaks TLS.
    files: tuple[Path, Path] | None = None
    #: Each first line of a request.
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, with what it wants to know."""
        login = f"{self.login}@" if self.login else ""
        return f"{'https' if self.files else 'http'}://{login}127.0.0.1:{self.port}"

    def serve(self, line: socket.socket) -> None:
        if self.files is None:
            self._lead(line)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files)
        with context.wrap_socket(line, server_side=True) as tls:
            self._lead(tls)

    def _lead(self, line: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = line.recv(1)
            if not byte:
                return
            head += byte
        first, *lines = head.decode("latin-1").split("\r\n")
        self.asked.append(first)
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        if self.login and headers.get("proxy-authorization") != _basic(self.login):
            line.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        place = target if method == "CONNECT" else urlsplit(target).netloc
        if place not in self.places:
            line.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(place_of(self.places[place]())) as end:
            if method == "CONNECT":
                line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = target.partition("://")[2].partition("/")[2]
                kept = [each for each in lines if not each.lower().startswith(("proxy-", "connection:"))]
                end.sendall("\r\n".join([f"{method} /{path} HTTP/1.1", "Connection: close", *kept]).encode("latin-1"))
            _join(line, end)


def _basic(login: str) -> str:
    return "Basic " + b64encode(login.encode()).decode()


def place_of(url: str) -> Place:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on all that comes from either side, until both have ended."""
    back = threading.Thread(target=_pass_on, args=(other, one), daemon=True)
    back.start()
    _pass_on(one, other)
    back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    # A TLS connection that is half closed can't be read any more, so both ends go.
    for line in (source, sink):
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: it only chooses a route.
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
