# SPDX-License-Identifier: Apache-2.0
"""Flow control of a connection, in both directions."""

import asyncio


class Flow:
    """The bytes of a connection: a fast side waits for a slow one, so that memory is bounded."""

    __slots__ = (
        "_is_reading_paused",
        "_loop",
        "_progress_at",
        "_taken_bytes",
        "_transport",
        "_writable",
        "_written_bytes",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._is_reading_paused = False
        #: Resolved once the client has taken enough; None while it keeps up.
        self._writable: asyncio.Future[None] | None = None
        self._written_bytes = 0
        #: What the client had taken when `is_stuck` last found progress, and when that was.
        self._taken_bytes = 0
        self._progress_at = 0.0

    def write(self, data: bytes) -> None:
        """Send bytes after those before. Nothing happens once the connection closes."""
        if not self._transport.is_closing():
            self._written_bytes += len(data)
            self._transport.write(data)

    async def wait_until_writable(self) -> None:
        """Wait while the client takes less than is sent."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def is_stuck(self, now: float, *, timeout_s: float) -> bool:
        """Return whether the client has taken nothing for this time, of what is to be sent. Call it regularly."""
        unsent_bytes = self._transport.get_write_buffer_size()
        taken_bytes = self._written_bytes - unsent_bytes
        if not unsent_bytes or taken_bytes != self._taken_bytes:
            self._taken_bytes = taken_bytes
            self._progress_at = now
        return now - self._progress_at > timeout_s

    def pause_reading(self) -> None:
        """Let the client wait: what it sends stays in the buffers of the network."""
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Note that the buffer to the client is full."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that the buffer has room again, or that the connection is gone."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
