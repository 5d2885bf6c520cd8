# SPDX-License-Identifier: Apache-2.0
"""The port for lanes with pending writes, and the order to attempt one of them now."""

import enum
from typing import Protocol

from bridge.dispatch import Dispatch
from schemas.operations import LaneDocument, LanePage, LaneQuery


class InvalidCursor(ValueError):
    """The cursor is not from a page of lanes."""


class AttemptOrder(enum.Enum):
    """The result of an order to attempt a lane now."""

    #: The lane has no pending write.
    UNKNOWN = enum.auto()
    #: A worker is already delivering the lane.
    DELIVERING = enum.auto()
    #: The lane is due now.
    DUE = enum.auto()


class Lanes(Protocol):
    """The lanes with pending writes. Every method raises ``StoreUnavailable`` when the store is unavailable."""

    def page(self, wanted: LaneQuery) -> LanePage:
        """Return lanes in order of their oldest write. A short or empty page may have a next one.

        Raises ``InvalidCursor``.
        """
        ...

    def lane(self, lane: str) -> LaneDocument | None:
        """Return one lane, None if nothing is pending in it and nothing is known of it."""
        ...

    def attempt(self, lane: str) -> AttemptOrder:
        """Make a lane due now, whatever its backoff, and return the result."""
        ...


def attempt_now(lanes: Lanes, dispatch: Dispatch, lane: str) -> LaneDocument | None:
    """Make a lane due, and send the workers a hint. Return it, None if nothing is pending in it."""
    order = lanes.attempt(lane)
    document = lanes.lane(lane) if order is not AttemptOrder.UNKNOWN else None
    if document and order is AttemptOrder.DUE:
        dispatch.lane_due(lane, document.client or "")
    return document
