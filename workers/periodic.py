# SPDX-License-Identifier: Apache-2.0
"""What each worker process does beside its deliveries, once a period: sweep, and drain dead letters as ordered."""

import os
import socket

from bridge.bootstrap.processes import Worker
from bridge.delivery.sweeper import SWEEP_INTERVAL
from bridge.process.background import BackgroundThread


def start_sweeping(worker: Worker) -> None:
    """Begin with a tick at once: whatever waits from before is dispatched now."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    # Each has its own thread: a long drain must not keep lanes waiting.
    for thread, tick in (("sweep", lambda: worker.sweep.tick(name)), ("drain", worker.dead_letters.tick)):
        BackgroundThread(
            thread,
            tick,
            every=SWEEP_INTERVAL.total_seconds(),
            stopping=worker.stopping,
            observe=worker.observe,
        ).start()
