# SPDX-License-Identifier: Apache-2.0
"""Which runs a client has logged to lately, so that its searches can wait for them."""

import threading
import time
from collections import OrderedDict

#: Runs that are remembered of a client, and for how long, in seconds.
_MOST = 100
_LASTS = 60.0
_MOST_CLIENTS = 1000


class Recent:
    """The latest lanes of each client, as this server process knows them."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        # Requests with many writes are noted by a thread.
        self._lock = threading.Lock()

    def note(self, client: str, lane: str) -> None:
        """Note that the client has logged to this lane."""
        with self._lock:
            lanes = self._lanes.get(client)
            if lanes is None:
                lanes = self._lanes[client] = OrderedDict()
                if len(self._lanes) > _MOST_CLIENTS:
                    self._lanes.popitem(last=False)
            lanes[lane] = time.monotonic()
            lanes.move_to_end(lane)
            if len(lanes) > _MOST:
                lanes.popitem(last=False)

    def lanes(self, client: str) -> list[str]:
        """Return the lanes that the client has logged to lately."""
        since = time.monotonic() - _LASTS
        with self._lock:
            return [lane for lane, at in self._lanes.get(client, {}).items() if at > since]
