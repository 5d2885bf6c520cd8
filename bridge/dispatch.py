# SPDX-License-Identifier: Apache-2.0
"""The port that tells workers that a lane is due."""

from typing import Protocol


class Dispatch(Protocol):
    """A hint to the workers. It may be lost, repeated or late: the outbox is the truth, and the sweep repairs."""

    def lane_due(self, lane: str) -> None:
        """Tell some worker that the lane is due. Never blocks, never raises."""
        ...

    def room(self) -> int:
        """Return how many more hints the broker should be given now; 0 while it can't be reached."""
        ...

    def ping(self) -> bool:
        """Return whether the broker answers."""
        ...
