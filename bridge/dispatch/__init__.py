# SPDX-License-Identifier: Apache-2.0
"""The port that tells workers that a lane is due.

Hints wait in several lines that take turns. A client's are all in one of them, so that one who has thousands of lanes
keeps nobody waiting but those few who share his line.
"""

import zlib
from collections.abc import Sequence
from typing import Protocol

#: How many lines there are. Workers and api must agree on it, so it changes only with a release.
LINES = 16


def line_of(client: str) -> int:
    """Return the line in which a client's hints wait."""
    return zlib.crc32(client.encode()) % LINES


class Room:
    """How many more hints the broker should be given now."""

    def __init__(self, by_line: Sequence[int]) -> None:
        self._by_line = list(by_line)

    @property
    def total(self) -> int:
        """Of all clients."""
        return sum(self._by_line)

    def take(self, client: str) -> bool:
        """Take the place of one hint; return whether there was one for this client."""
        line = line_of(client)
        self._by_line[line] -= 1
        return self._by_line[line] >= 0


class Dispatch(Protocol):
    """A hint to the workers. It may be lost, repeated or late: the outbox is the truth, and the sweep repairs."""

    def lane_due(self, lane: str, client: str) -> None:
        """Tell some worker that the lane is due, on whose behalf. Never blocks, never raises."""
        ...

    def room(self) -> Room:
        """Return how many more hints the broker should be given now; none while it can't be reached."""
        ...

    def ping(self) -> bool:
        """Return whether the broker answers."""
        ...
