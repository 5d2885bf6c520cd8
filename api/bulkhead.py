# SPDX-License-Identifier: Apache-2.0
"""Keeps threads free for writes, however many reads, streams and waiting clients there are."""

import datetime as dt
import threading

_PATIENCE = dt.timedelta(seconds=1)


class Busy(Exception):
    """All seats are taken; the client should come back soon."""


class Bulkhead:
    """Seats for requests that may hold a thread for long. There are fewer seats than threads."""

    def __init__(self, *, seats: int) -> None:
        self._seats = threading.BoundedSemaphore(seats)

    def enter(self) -> None:
        """Take a seat, after a short wait if need be, or raise ``Busy``."""
        if not self._seats.acquire(timeout=_PATIENCE.total_seconds()):
            raise Busy

    def try_enter(self) -> bool:
        """Take a seat if one is free; say whether."""
        return self._seats.acquire(blocking=False)

    def leave(self) -> None:
        """Give the seat back."""
        self._seats.release()
