# SPDX-License-Identifier: Apache-2.0
"""The sweep: dispatches lanes that are due, in each worker, once per interval.

It makes hints harmless to lose: a lane with a lost hint, a crashed worker or an elapsed backoff is dispatched here, at
most one interval late.
"""

import datetime as dt
from collections.abc import Callable

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import LanesRedispatched, Observer, StoreError
from bridge.outbox import Outbox

#: The interval at which each worker process sweeps and continues drains.
SWEEP_INTERVAL = dt.timedelta(seconds=1)

#: Bounds the load of one sweep on the store: each lane costs it a lookup.
_MAX_LANES_PER_SWEEP = 4000


class Sweeper:
    """Dispatches due lanes. It runs in every worker; one of them sweeps a partition in each interval."""

    def __init__(
        self, outbox: Outbox, dispatch: Dispatch, *, observe: Observer, is_paused: Callable[[], bool] = lambda: False
    ) -> None:
        """While ``is_paused``, no lane is dispatched: it would only be claimed and released."""
        self._outbox = outbox
        self._dispatch = dispatch
        self._observe = observe
        self._is_paused = is_paused
        # A little less than the interval, so that the next tick does not fall into the guard of this one.
        self._guard = SWEEP_INTERVAL * 0.9

    def tick(self, worker: str) -> None:
        """Report this worker as alive and dispatch lanes that are due. Never raises.

        No more are dispatched than the broker has room for, so a long backlog does not fill it with repeated hints.
        """
        try:
            self._outbox.report_worker(worker)
            if self._is_paused():
                return
            capacity = self._dispatch.capacity()
            limit = min(capacity.total, _MAX_LANES_PER_SWEEP)
            due = self._outbox.due(limit=limit, guard=self._guard) if limit else []
        except StoreUnavailable as error:
            self._observe(StoreError(operation="sweep", reason=str(error)))
            return
        dispatchable = [lane for lane in due if capacity.take(lane.client)]
        for due_lane in dispatchable:
            self._dispatch.lane_due(due_lane.lane, due_lane.client)
        if dispatchable:
            self._observe(LanesRedispatched(lanes=len(dispatchable)))
