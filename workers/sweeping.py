# SPDX-License-Identifier: Apache-2.0
"""The thread of each worker process that sweeps, and so shows that the worker is alive."""

import os
import socket
import threading

from bridge.bootstrap import Worker


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
            self._worker.sweep.tick(self._name)
            if self._worker.stopping.wait(period):
                return
