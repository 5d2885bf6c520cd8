# SPDX-License-Identifier: Apache-2.0
"""Periodic threads of a worker process: the sweep with its report, the drains of dead letters, and the gauges."""

import os
import socket
from functools import partial

from bridge.bootstrap.processes import Worker
from bridge.delivery.sweeper import SWEEP_INTERVAL
from bridge.operations.series import SAMPLE_INTERVAL
from bridge.process.background import BackgroundThread


def start_periodic_threads(worker: Worker) -> None:
    """Start the threads. They tick at once, so that lanes from before the start are dispatched immediately."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    # One thread each: a long drain must not delay the sweep.
    for thread, tick, interval in (
        ("sweep", partial(_sweep, worker, name), SWEEP_INTERVAL),
        ("drain", worker.dead_letters.tick, SWEEP_INTERVAL),
        ("gauges", worker.operations.sample_gauges, SAMPLE_INTERVAL),
    ):
        BackgroundThread(
            thread,
            tick,
            interval_s=interval.total_seconds(),
            stopping=worker.stopping,
            observe=worker.observe,
        ).start()


def _sweep(worker: Worker, name: str) -> None:
    worker.sweep.tick(name)
    worker.activity.tick(name, worker.worker_reports)
