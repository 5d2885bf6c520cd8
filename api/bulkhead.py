# SPDX-License-Identifier: Apache-2.0
"""Keeps threads free for short requests, however many clients wait for jobs."""

import threading


class Bulkhead:
    """Seats for requests that may hold a thread for long. There are fewer seats than threads."""

    def __init__(self, *, seats: int) -> None:
        self._seats = threading.BoundedSemaphore(seats)

    def try_enter(self) -> bool:
        """Take a seat if one is free; say whether."""
        return self._seats.acquire(blocking=False)

    def leave(self) -> None:
        """Give the seat back."""
        self._seats.release()
