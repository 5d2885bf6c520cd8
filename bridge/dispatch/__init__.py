# SPDX-License-Identifier: Apache-2.0
"""The dispatch port: hints to workers that a lane is due.

Hints are spread over several queues, which are served in turn. All hints of a client are in one queue, so that a client
with thousands of lanes delays only the few clients that share its queue.
"""

import zlib
from collections.abc import Sequence
from typing import Protocol

#: Workers and api must agree on this number, so it changes only with a release.
QUEUE_COUNT = 16


def queue_of(client: str) -> int:
    """Return the number of the queue of a client's hints."""
    return zlib.crc32(client.encode()) % QUEUE_COUNT


class DispatchCapacity:
    """How many more hints each queue of the broker should be given now."""

    def __init__(self, free_places: Sequence[int]) -> None:
        """``free_places`` has the capacity of each queue, by its number."""
        self._free_places = list(free_places)

    @property
    def total(self) -> int:
        """The capacity of all queues."""
        return sum(self._free_places)

    def take(self, client: str) -> bool:
        """Take one place in the client's queue; return whether there was one."""
        queue = queue_of(client)
        self._free_places[queue] -= 1
        return self._free_places[queue] >= 0


class Dispatch(Protocol):
    """A hint to the workers. It may be lost, repeated or late: the outbox is the truth, and the sweep repairs."""

    def lane_due(self, lane: str, client: str) -> None:
        """Hint that the lane is due, on behalf of this client. Never blocks, never raises."""
        ...

    def capacity(self) -> DispatchCapacity:
        """Return how many more hints the broker should be given now; none while it is unreachable."""
        ...

    def ping(self) -> bool:
        """Return whether the broker answers."""
        ...
