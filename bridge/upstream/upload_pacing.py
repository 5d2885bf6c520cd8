# SPDX-License-Identifier: Apache-2.0
"""Sends long bodies at upstream's pace, and notices when upstream takes nothing more."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

#: So many bytes may wait in the kernel for a place on the way. By default it takes megabytes, and the client would have
#: sent all long before a slow upstream has it.
_UNSENT = 128 * 1024
#: So many bytes may be on the way to an upstream that is near. More at a time make its kernel take in megabytes that
#: upstream does not read, and these are no faster there.
_ON_THE_WAY = 64 * 1024
#: An upstream is near that acknowledges within so many microseconds; these bytes are 32 MB a second then, or more.
_NEAR = 2_000
#: Where the smoothed round-trip time stands in what Linux tells of a connection (struct tcp_info).
_ROUND_TRIP = struct.Struct("=68xI")
#: The sockets that have been made for the request under way.
_MADE: ContextVar[list[socket.socket]] = ContextVar("made")


class Pace:
    """Hands out a body's pieces, and ends the wait for upstream if it does not take one of them in time."""

    def __init__(self, pieces: AsyncIterator[bytes], *, seconds: float, deadline: asyncio.Timeout) -> None:
        """``deadline`` surrounds the sending; it expires when a piece was not taken for so many seconds."""
        self._pieces = pieces
        self._seconds = seconds
        self._deadline = deadline
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: list[socket.socket] = []
        _MADE.set(self._sockets)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: a body is sent once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. That it is asked for means that the one before was taken."""
        self.stop()
        while self._sockets:
            _keep_short(self._sockets.pop())
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
    _MADE.get([]).append(made)
    return made


def _keep_short(connected: socket.socket) -> None:
    """Let little be on the way to an upstream that is near. To one that is far away, the kernel finds out how much."""
    with suppress(OSError, AttributeError, struct.error):
        (round_trip,) = _ROUND_TRIP.unpack(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.size))
        if round_trip < _NEAR:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ON_THE_WAY)
