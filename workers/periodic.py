# SPDX-License-Identifier: Apache-2.0
"""Periodic threads of a worker process: the sweep, and the drains of dead letters."""

import os
import socket

from bridge.bootstrap.processes import Worker
from bridge.delivery.sweeper import SWEEP_INTERVAL
from bridge.process.background import BackgroundThread


def start_sweeping(worker: Worker) -> None:
    """Start both threads. They tick at once, so that lanes from before the start are dispatched immediately."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    # One thread each: a long drain must not delay the sweep.
    for thread, tick in (("sweep", lambda: worker.sweep.tick(name)), ("drain", worker.dead_letters.tick)):
        BackgroundThread(
            thread,
            tick,
            every=SWEEP_INTERVAL.total_seconds(),
            stopping=worker.stopping,
            observe=worker.observe,
        ).start()
