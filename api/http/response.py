# SPDX-License-Identifier: Apache-2.0
"""An answer as it goes out, whatever made it."""

from dataclasses import dataclass
from typing import Protocol

from api.http.types import Message, Send

JSON = "application/json"


class SendableResponse(Protocol):
    """Something that can be sent as the answer to a request."""

    async def send_to(self, send: Send) -> None:
        """Send it. What is raised once it has begun breaks the connection off, so that nobody takes it for whole."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is known whole: status, body and headers."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, with type and length."""
        return [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers]

    async def send_to(self, send: Send) -> None:
        """Send it."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.header_list()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


#: A year, in seconds.
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def with_hsts(send: Send) -> Send:
    """Return what sends an answer with that header."""

    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _HSTS]}
        await send(message)

    return with_header
