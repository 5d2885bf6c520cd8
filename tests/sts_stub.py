# SPDX-License-Identifier: Apache-2.0
"""Stands in for AWS STS on loopback: gives sessions of a role to whoever asks, and remembers what for."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.signature_check import Credentials

ACCOUNT = "123456789012"
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass
class StsStub:
    """Answers AssumeRole and GetCallerIdentity, for as long as the `with` lasts."""

    #: What was asked, parameter by parameter.
    asked: list[Mapping[str, str]] = field(default_factory=list)
    #: The credentials given for each session's name, the latest last.
    given: dict[str, list[Credentials]] = field(default_factory=dict)
    #: Action, or name of a session -> code and message with which it is refused.
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)
    lasts: timedelta = timedelta(hours=1)
    #: Told of all that were given, whenever there are new ones.
    tell: Callable[..., object] = lambda *_: None

    def __enter__(self) -> Self:
        stub = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                status, body = stub.answer(dict(parse_qsl(self.rfile.read(length).decode())))
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self._lock = threading.Lock()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def environ(self, credentials: Credentials) -> dict[str, str]:
        """The environment of a process that has these credentials, and asks here."""
        return {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_STS": self.url,
        }

    def credentials(self) -> tuple[Credentials, ...]:
        """All that were given."""
        with self._lock:
            return tuple(one for several in self.given.values() for one in several)

    def answer(self, asked: dict[str, str]) -> tuple[int, bytes]:
        action, session = asked["Action"], asked.get("RoleSessionName", "")
        with self._lock:
            self.asked.append(asked)
            if refused := self.refusals.get(session) or self.refusals.get(action):
                code, message = refused
                return 403, _xml("Error", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")
            result = self._session(asked) if action == "AssumeRole" else _IDENTITY
        return 200, _xml(action, f"<{action}Result>{result}</{action}Result>")

    def _session(self, asked: dict[str, str]) -> str:
        name = asked["RoleSessionName"]
        number = sum(map(len, self.given.values())) + 1
        made = Credentials(f"ASIASESSION{number:08}", f"secret-of-session-{number}", f"token-of-session-{number}")
        self.given.setdefault(name, []).append(made)
        self.tell(*(one for several in self.given.values() for one in several))
        ends = datetime.now(UTC) + self.lasts
        role = asked["RoleArn"].rpartition("/")[2]
        return (
            f"<Credentials><AccessKeyId>{made.access_key}</AccessKeyId>"
            f"<SecretAccessKey>{made.secret_key}</SecretAccessKey><SessionToken>{made.session_token}</SessionToken>"
            f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials><AssumedRoleUser>"
            f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}</Arn><AssumedRoleId>AROA:{name}</AssumedRoleId>"
            "</AssumedRoleUser>"
        )


_IDENTITY = f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/bridge/i-1</Arn><UserId>A</UserId><Account>{ACCOUNT}</Account>"


def _xml(name: str, inner: str) -> bytes:
    response = f"{name}Response"
    return f'<{response} xmlns="{_NAMESPACE}">{inner}<RequestId>r-1</RequestId></{response}>'.encode()
