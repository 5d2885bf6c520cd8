# SPDX-License-Identifier: Apache-2.0
"""The port that proxied requests go through: to upstream and back while the client waits, on an event loop."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bridge.spool import Spool
from bridge.upload import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A client's request on its way to upstream, unsigned and with the client's own headers."""

    method: str
    #: Path and query as the client wrote them, percent-encoded.
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    #: None if the client sent none. It stays the caller's to close.
    #: An upload is read once, while it is sent.
    body: Spool | Upload | None
    #: In whose name it is sent, where clients have names there.
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Upstream's answer; ``body`` is read from upstream as it is consumed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes]


async def read_up_to(longest: int, answer: Answer) -> tuple[bytes, bool]:
    """Return the body of an answer, and whether that is all of it. What is longer is left to be read on."""
    read = bytearray()
    async for piece in answer.body:
        read += piece
        if len(read) > longest:
            return bytes(read), False
    return bytes(read), True


def is_event_stream(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether these are the headers of server-sent events, each of which somebody waits for."""
    types = [value for name, value in headers if name.lower() == "content-type"]
    return any(value.partition(";")[0].strip().lower() == "text/event-stream" for value in types)


class Forwarding(Protocol):
    """MLflow behind SageMaker's door, or any MLflow server, for whoever asks it something now."""

    @property
    def streams(self) -> bool:
        """Whether a body can be sent while it comes in. Where requests are signed, its hash has to be known first."""
        ...

    def forward(self, request: Request) -> AbstractAsyncContextManager[Answer]:
        """Forward a client's request, signed now, without the client's credentials, and stream the answer.

        Raises ``UpstreamTimeout``, ``UpstreamUnreachable`` or ``CredentialsUnavailable``; for an upload that the client
        breaks off, what its reading has raised. Then, and when upstream answers before it has all of an upload, the
        connection is cut.
        """
        ...

    async def close(self) -> None:
        """Close the connections to upstream."""
        ...
