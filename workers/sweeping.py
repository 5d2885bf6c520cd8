# SPDX-License-Identifier: Apache-2.0
"""What each worker process does beside its deliveries, once a period: sweep, and drain dead letters as ordered."""

import datetime as dt
import logging
import os
import socket
import threading
from collections.abc import Callable

from bridge.bootstrap import Worker

_LOG = logging.getLogger(__name__)


def start_sweeping(worker: Worker) -> None:
    """Begin with a tick at once: whatever waits from before is dispatched now."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    period = worker.settings.sweep_period
    # Each has its own thread: a long drain must not keep lanes waiting.
    Periodic("sweep", lambda: worker.sweep.tick(name), period, worker.stopping).start()
    Periodic("drain", worker.draining.tick, period, worker.stopping).start()


class Periodic(threading.Thread):
    """Calls ``tick`` once a period until the worker stops."""

    def __init__(self, name: str, tick: Callable[[], None], period: dt.timedelta, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._tick = tick
        self._period = period
        self._stopping = stopping

    def run(self) -> None:
        """Tick and wait, whatever happens."""
        while True:
            try:
                self._tick()
            except Exception:  # noqa: BLE001 - see the next line
                # Whatever it was, the next tick may go well; without this thread lanes would wait for ever.
                _LOG.exception("%s_failed", self.name)
            if self._stopping.wait(self._period.total_seconds()):
                return
