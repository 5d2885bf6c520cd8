# SPDX-License-Identifier: Apache-2.0
"""Upload pacing: sends long bodies at upstream's pace, with a timeout for each piece."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

#: TCP_NOTSENT_LOWAT, bytes that wait unsent in the kernel. By default it buffers megabytes, and the client would have
#: sent everything long before a slow upstream has it.
_MAX_UNSENT_BYTES = 128 * 1024
#: SO_SNDBUF for a near upstream. More bytes in flight make its kernel buffer megabytes that upstream does not read, and
#: do not raise the throughput.
_NEAR_SEND_BUFFER_BYTES = 64 * 1024
#: The round-trip time below which an upstream is near. The buffer above then carries 32 MB a second or more.
_NEAR_ROUND_TRIP_US = 2_000
#: The smoothed round-trip time in Linux's ``struct tcp_info``.
_ROUND_TRIP = struct.Struct("=68xI")
#: The sockets created for the current request.
_new_sockets: ContextVar[list[socket.socket]] = ContextVar("new_sockets")


class PacedBody:
    """Yields the pieces of a body, and times out if upstream does not accept one of them in time."""

    def __init__(self, pieces: AsyncIterator[bytes], *, timeout_s: float, deadline: asyncio.Timeout) -> None:
        """``deadline`` surrounds the request. It expires when upstream has not accepted a piece for ``timeout_s``."""
        self._pieces = pieces
        self._timeout_s = timeout_s
        self._deadline = deadline
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: list[socket.socket] = []
        _new_sockets.set(self._sockets)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: the body can be sent only once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. This call shows that the previous piece was accepted."""
        self._cancel_timer()
        while self._sockets:
            _limit_send_buffer(self._sockets.pop())
        # A pause of the client is not upstream's fault, so the timer does not run meanwhile.
        piece = await anext(self._pieces)
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)
        return piece

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        # Upstream may have responded meanwhile, which ends the timeout's block.
        with suppress(RuntimeError):
            self._deadline.reschedule(asyncio.get_running_loop().time())


def paced_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address of `socket.getaddrinfo` that buffers little unsent data."""
    family, kind, protocol = address[:3]
    paced = socket.socket(family=family, type=kind, proto=protocol)
    # Available on Linux and macOS.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        paced.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES)
    _new_sockets.get([]).append(paced)
    return paced


def _limit_send_buffer(connected: socket.socket) -> None:
    """Limit the bytes in flight to a near upstream. For a distant one, the kernel tunes the buffer itself."""
    with suppress(OSError, AttributeError, struct.error):
        (round_trip,) = _ROUND_TRIP.unpack(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.size))
        if round_trip < _NEAR_ROUND_TRIP_US:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _NEAR_SEND_BUFFER_BYTES)
