# SPDX-License-Identifier: Apache-2.0
"""Sends long bodies at upstream's pace, and notices when upstream takes nothing more."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

#: So many bytes may wait in the kernel for a place on the way. By default it takes megabytes, and the client would have
#: sent all long before a slow upstream has it.
_UNSENT = 128 * 1024


class Pace:
    """Hands out a body's pieces, and ends the wait for upstream if it does not take one of them in time."""

    def __init__(self, pieces: AsyncIterator[bytes], *, seconds: float, deadline: asyncio.Timeout) -> None:
        """``deadline`` surrounds the sending; it expires when a piece was not taken for so many seconds."""
        self._pieces = pieces
        self._seconds = seconds
        self._deadline = deadline
        self._timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: a body is sent once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. That it is asked for means that the one before was taken."""
        self.stop()
        # A client that pauses is not upstream's fault: meanwhile no time passes.
        piece = await anext(self._pieces)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return piece

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        # Upstream may have answered meanwhile.
        with suppress(RuntimeError):
            self._deadline.reschedule(asyncio.get_running_loop().time())


def paced_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address, as `socket.getaddrinfo` has it, that takes little more than it can send."""
    family, kind, protocol = address[:3]
    made = socket.socket(family=family, type=kind, proto=protocol)
    # Linux and macOS have it.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return made
