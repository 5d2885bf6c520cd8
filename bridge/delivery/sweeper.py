# SPDX-License-Identifier: Apache-2.0
"""The periodic repair: dispatches lanes that are due, whatever became of their first dispatch.

It is what makes hints harmless to lose: a lane whose hint was lost, whose worker died, or whose backoff has ended is
found here, at most one period late.
"""

import datetime as dt

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import LanesRedispatched, Observer, StoreError
from bridge.outbox import Outbox

#: How often each worker process sweeps, and continues drains.
SWEEP_INTERVAL = dt.timedelta(seconds=1)

#: Each lane costs the store one lookup.
_MAX_LANES_PER_SWEEP = 4000


class Sweeper:
    """Runs in every worker; each partition is swept by one of them in each period."""

    def __init__(self, outbox: Outbox, dispatch: Dispatch, *, observe: Observer) -> None:
        self._outbox = outbox
        self._dispatch = dispatch
        self._observe = observe
        # A little less than the period, so that the next tick is not taken for the same one.
        self._guard = SWEEP_INTERVAL * 0.9

    def tick(self, worker: str) -> None:
        """Report this worker as alive and dispatch lanes that are due. Never raises.

        No more are dispatched than the broker has room for, so a long backlog does not fill it with repeated hints.
        """
        try:
            self._outbox.report_worker(worker)
            capacity = self._dispatch.capacity()
            limit = min(capacity.total, _MAX_LANES_PER_SWEEP)
            due = self._outbox.due(limit=limit, guard=self._guard) if limit else []
        except StoreUnavailable as error:
            self._observe(StoreError(operation="sweep", reason=str(error)))
            return
        found = [each for each in due if capacity.take(each.client)]
        for each in found:
            self._dispatch.lane_due(each.lane, each.client)
        if found:
            self._observe(LanesRedispatched(lanes=len(found)))
