# SPDX-License-Identifier: Apache-2.0
"""Asks the api in this process as a client that signs; what was signed can be sent as often as liked."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api.app import BridgeApp
from api.composition import create_app
from bridge.auth.api_keys import AccessKey
from bridge.bootstrap.processes import Api

HOST = "localhost:8080"
Header = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A request as it goes over the wire."""

    method: str
    target: str
    headers: tuple[Header, ...]
    body: bytes

    def having(self, name: str, *values: str) -> "Signed":
        """The same with these values of a header instead."""
        others = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*others, *((name, value) for value in values)))

    def header(self, name: str) -> str:
        return next(value for sent, value in self.headers if sent.lower() == name.lower())


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode()


def signed(
    key: AccessKey,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    declares: bool = True,
    service: str = "sagemaker-mlflow",
    headers: Mapping[str, str] | None = None,
) -> Signed:
    """Sign as AWS's plugin does, or without sending the body's hash."""
    request = AWSRequest(method, f"https://{HOST}{target}", dict(headers or {}), body)
    request.headers["Host"] = HOST
    if body:
        request.headers["Content-Length"] = str(len(body))
        request.headers["Content-Type"] = "application/json"
    if declares:
        request.headers["X-Amz-Content-SHA256"] = sha256(body).hexdigest()
    SigV4Auth(Credentials(key.key_id, key.secret), service, "eu-central-1").add_auth(request)
    pairs = tuple((name, str(value)) for name, value in request.headers.items())
    return Signed(method=method, target=target, headers=pairs, body=body)


class SigningClient:
    """Sends over ASGI, byte for byte."""

    def __init__(self, app: BridgeApp, runner: asyncio.Runner) -> None:
        self.app = app
        self._runner = runner

    def send(self, request: Signed) -> Answer:
        return self._runner.run(self._send(request))

    def send_all(self, *requests: Signed) -> list[Answer]:
        """Send all at once."""

        async def gather() -> list[Answer]:
            return await asyncio.gather(*(self._send(request) for request in requests))

        return self._runner.run(gather())

    async def _send(self, request: Signed) -> Answer:
        path, _, query = request.target.partition("?")
        parts: list[dict[str, Any]] = [{"type": "http.request", "body": request.body}]
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                await asyncio.Event().wait()
            return parts.pop()

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        scope = {
            "type": "http",
            "scheme": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 50000),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
        }
        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in told[0]["headers"]}
        return Answer(told[0]["status"], headers, b"".join(each.get("body", b"") for each in told[1:]))

    def close(self) -> None:
        self._runner.run(self.app.close())


@contextmanager
def signing_client(bridge: Api) -> Iterator[SigningClient]:
    """Yield a client of a server process of its own."""
    with asyncio.Runner() as runner:
        client = SigningClient(create_app(bridge), runner)
        try:
            yield client
        finally:
            client.close()
