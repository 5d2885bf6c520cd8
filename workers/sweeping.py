# SPDX-License-Identifier: Apache-2.0
"""The thread of each worker process that sweeps, and so shows that the worker is alive."""

import logging
import os
import socket
import threading

from bridge.bootstrap import Worker

_LOG = logging.getLogger(__name__)


class Sweeping:
    """Runs ``Sweep.tick`` once a period until the worker stops."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin with a tick at once: whatever waits from before is dispatched now."""
        self._thread.start()

    def _run(self) -> None:
        period = self._worker.settings.sweep_period.total_seconds()
        while True:
            try:
                self._worker.sweep.tick(self._name)
            except Exception:  # noqa: BLE001 - see the next line
                # Whatever it was, the next tick may go well; without this thread lanes would wait for ever.
                _LOG.exception("sweep_failed")
            if self._worker.stopping.wait(period):
                return
