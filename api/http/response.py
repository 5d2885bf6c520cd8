# SPDX-License-Identifier: Apache-2.0
"""Responses, and the header for HTTPS (HSTS)."""

from dataclasses import dataclass
from typing import Protocol

from api.http.types import Message, Send

JSON = "application/json"


class SendableResponse(Protocol):
    """A response that can send itself over ASGI."""

    async def send_to(self, send: Send) -> None:
        """Send the response. An exception after its start closes the connection: no client takes it for complete."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response: status, body and headers."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def header_list(self) -> list[tuple[str, str]]:
        """Return all headers, with Content-Type and Content-Length."""
        return [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers]

    async def send_to(self, send: Send) -> None:
        """Send the response."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.header_list()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


#: For one year, in seconds.
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def with_hsts(send: Send) -> Send:
    """Return a ``send`` that adds Strict-Transport-Security to responses over TLS (RFC 6797)."""

    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _HSTS]}
        await send(message)

    return with_header
