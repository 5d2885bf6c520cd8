# SPDX-License-Identifier: Apache-2.0
"""The port for proxied requests: forwards them to upstream on an event loop, and streams the responses back."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

#: A longer body is buffered in a temporary file.
_MAX_BYTES_IN_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedRequest:
    """A client's request as it is forwarded: unsigned, with the client's own headers."""

    method: str
    #: Path and query as the client sent them, percent-encoded.
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    #: None if the client sent none. The caller closes it.
    body: "BufferedBody | StreamedBody | None"
    #: Sign with this client's session of the role; None for the bridge's own session.
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedResponse:
    """Upstream's response; ``body`` is read from upstream as it is consumed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes]


class Forwarding(Protocol):
    """MLflow behind SageMaker's gateway, or any MLflow server, for requests that are not queued."""

    @property
    def can_stream(self) -> bool:
        """Whether a body can be sent while it arrives. A signed request needs the hash of its body first."""
        ...

    def forward(self, request: ForwardedRequest) -> AbstractAsyncContextManager[ForwardedResponse]:
        """Forward a client's request, signed now, without the client's credentials, and stream the response.

        Raises ``UpstreamTimeout``, ``UpstreamUnreachable`` or ``CredentialsUnavailable``. If the client breaks off an
        upload, raises the error of reading its body. Then, and if upstream responds before the end of an upload, the
        connection is closed.
        """
        ...

    async def close(self) -> None:
        """Close the connections to upstream."""
        ...


class BufferedBody:
    """A request body buffered with its length and SHA-256 hash. The caller closes it."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self.length = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self.file.write(chunk)
        self._digest.update(chunk)
        self.length += len(chunk)

    @property
    def sha256(self) -> str:
        """The SHA-256 hash of the written bytes, in hexadecimal digits."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Discard the bytes."""
        self.file.close()


class StreamedBody:
    """A request body that is sent while it arrives, once. Its last piece is held back until the body is complete.

    So a body that breaks off never looks complete to upstream, which waits for ``length`` bytes.
    """

    def __init__(self, length: int, chunks: AsyncIterator[bytes]) -> None:
        self.length = length
        #: The whole body has arrived.
        self.is_complete = False
        #: The error that ended the body early, if the client caused it.
        self.failure: Exception | None = None
        self._chunks = chunks
        self._kept_back: bytes | None = None
        self._reading = asyncio.Lock()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: the body can be read only once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, or raise the error that ended the body."""
        async with self._reading:
            while not self.is_complete:
                piece, self._kept_back = self._kept_back, await self._read_piece()
                if self._kept_back is None:
                    self.is_complete = True
                    self._kept_back = piece
                elif piece is not None:
                    return piece
            last, self._kept_back = self._kept_back, None
        if last is None:
            raise StopAsyncIteration
        return last

    async def wait_until_idle(self) -> None:
        """Wait until no read from the client is under way. To be called after the upload has been cancelled."""
        async with self._reading:
            pass

    async def _read_piece(self) -> bytes | None:
        try:
            return await anext(self._chunks, None)
        except Exception as error:
            self.failure = error
            raise


async def read_up_to(max_bytes: int, response: ForwardedResponse) -> tuple[bytes, bool]:
    """Return the body of a response, and whether it is complete. The rest of a longer body can still be read."""
    read = bytearray()
    async for piece in response.body:
        read += piece
        if len(read) > max_bytes:
            return bytes(read), False
    return bytes(read), True


def is_event_stream(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether these headers announce server-sent events, which must not be buffered."""
    types = [value for name, value in headers if name.lower() == "content-type"]
    return any(value.partition(";")[0].strip().lower() == "text/event-stream" for value in types)
