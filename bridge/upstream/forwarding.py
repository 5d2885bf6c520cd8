# SPDX-License-Identifier: Apache-2.0
"""The port that proxied requests go through: to upstream and back while the client waits, on an event loop."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

#: Up to this size it is held in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1 << 20


class BufferedBody:
    """Takes bytes in, and knows their length and hash. To be closed."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self.length = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.file.write(chunk)
        self._digest.update(chunk)
        self.length += len(chunk)

    @property
    def sha256(self) -> str:
        """The hash of what has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Drop the bytes."""
        self.file.close()


class StreamedBody:
    """Yields a body once, in pieces. Its last piece is kept back until all of it has come in, and was found right.

    So a body that breaks off never looks whole to upstream, which waits for ``length`` bytes.
    """

    def __init__(self, length: int, chunks: AsyncIterator[bytes]) -> None:
        self.length = length
        #: Whether all of it has come in.
        self.is_complete = False
        #: Why it did not, where that is the client's doing.
        self.failure: Exception | None = None
        self._chunks = chunks
        self._kept_back: bytes | None = None
        self._reading = asyncio.Lock()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: there is no second reading."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, or raise why there is none."""
        async with self._reading:
            while not self.is_complete:
                piece, self._kept_back = self._kept_back, await self._next()
                if self._kept_back is None:
                    self.is_complete = True
                    self._kept_back = piece
                elif piece is not None:
                    return piece
            last, self._kept_back = self._kept_back, None
        if last is None:
            raise StopAsyncIteration
        return last

    async def stopped(self) -> None:
        """Return when nothing is being read from the client; to be asked once the sending has been stopped."""
        async with self._reading:
            pass

    async def _next(self) -> bytes | None:
        try:
            return await anext(self._chunks, None)
        except Exception as error:
            self.failure = error
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedRequest:
    """A client's request on its way to upstream, unsigned and with the client's own headers."""

    method: str
    #: Path and query as the client wrote them, percent-encoded.
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    #: None if the client sent none. It stays the caller's to close.
    #: An upload is read once, while it is sent.
    body: BufferedBody | StreamedBody | None
    #: In whose name it is sent, where clients have names there.
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedResponse:
    """Upstream's answer; ``body`` is read from upstream as it is consumed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes]


async def read_up_to(longest: int, answer: ForwardedResponse) -> tuple[bytes, bool]:
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

    def forward(self, request: ForwardedRequest) -> AbstractAsyncContextManager[ForwardedResponse]:
        """Forward a client's request, signed now, without the client's credentials, and stream the answer.

        Raises ``UpstreamTimeout``, ``UpstreamUnreachable`` or ``CredentialsUnavailable``; for an upload that the client
        breaks off, what its reading has raised. Then, and when upstream answers before it has all of an upload, the
        connection is cut.
        """
        ...

    async def close(self) -> None:
        """Close the connections to upstream."""
        ...
