# SPDX-License-Identifier: Apache-2.0
"""Takes writes in: each is durable in the outbox before its client hears of it."""

from bridge.dispatch import Dispatch
from bridge.outbox import Accepted, Outbox
from schemas.idempotency import Idempotency
from schemas.write import Write


class Intake:
    """The write path."""

    def __init__(self, outbox: Outbox, dispatch: Dispatch) -> None:
        self._outbox = outbox
        self._dispatch = dispatch

    def accept(self, write: Write, *, client: str, idempotency: Idempotency | None = None) -> Accepted:
        """Store the write for good and return its job, or raise ``StoreUnavailable``: then it may not be ours.

        Workers are told only of a lane that was idle: one that was not is known to them already.
        """
        accepted = self._outbox.accept(write, client=client, idempotency=idempotency)
        if accepted.was_idle:
            self._dispatch.lane_due(accepted.lane)
        return accepted
