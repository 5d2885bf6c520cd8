# SPDX-License-Identifier: Apache-2.0
"""The command ``mlflow-bridge-worker``: runs one worker process."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import click
from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down

from bridge.bootstrap.processes import Worker, build_worker
from bridge.bootstrap.startup_checks import check_store
from bridge.config.environment import read_settings
from bridge.dispatch.celery_dispatch import QUEUES
from bridge.errors import CannotStart, InvalidSettings
from bridge.process.service_notification import ServiceNotification
from bridge.process.start_failure import exit_with
from bridge.telemetry.logs import configure_logging
from bridge.telemetry.standard_error import ensure_standard_error
from workers.app import create_app
from workers.periodic import start_periodic_threads


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Deliver pending writes to upstream until SIGTERM.

    After SIGTERM, calls in flight are completed and the leases of all lanes are released. Environment variables
    configure the worker; BRIDGE_UPSTREAM and BRIDGE_STORE_URL are required. `mlflow-bridge settings` lists them, and
    `mlflow-bridge doctor` checks them.
    """
    ensure_standard_error("mlflow-bridge-worker")
    try:
        settings = read_settings(os.environ)
        worker = build_worker(settings)
        check_store(worker.outbox, _warn)
    except (InvalidSettings, CannotStart) as error:
        exit_with(error, program="mlflow-bridge-worker")
    configure_logging(settings.log_level)
    _connect_signals(worker)
    create_app(worker).worker_main(
        [
            # No banner: all lines of the log have one format. Celery's message at shutdown cannot be suppressed.
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={','.join(QUEUES)}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def _warn(text: str) -> None:
    sys.stderr.write(f"mlflow-bridge-worker: warning: {text}\n")


def _connect_signals(worker: Worker) -> None:
    """Connect the worker to Celery's signals. ``weak=False``: Celery would drop these local receivers."""
    notification = ServiceNotification(os.environ.get("NOTIFY_SOCKET"))

    def on_ready(**_: Any) -> None:  # noqa: ANN401 - Celery's signals pass what they like
        start_periodic_threads(worker)
        worker.report_threads()
        signal.signal(signal.SIGTERM, _only_first(signal.getsignal(signal.SIGTERM)))
        notification.ready()

    def on_shutting_down(**_: Any) -> None:  # noqa: ANN401
        worker.stopping.set()
        notification.stopping()

    def on_logging(**_: Any) -> None:  # noqa: ANN401
        # A receiver of `setup_logging` keeps Celery from configuring logs. The events of deliveries replace its logs
        # of tasks.
        logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
        logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)

    def on_shutdown(**_: Any) -> None:  # noqa: ANN401
        worker.close()
        # Python restores default signal handlers while it exits: a late signal would make a clean stop look like a
        # crash.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    worker_ready.connect(on_ready, weak=False)
    worker_shutdown.connect(on_shutdown, weak=False)
    worker_shutting_down.connect(on_shutting_down, weak=False)
    setup_logging.connect(on_logging, weak=False)


def _only_first(handler: Any) -> Callable[..., None]:  # noqa: ANN401 - the type in `signal`
    """Return a handler for the first signal only: Celery's takes a lock, so a second signal would deadlock it."""
    received = count()

    def handle(*args: object) -> None:
        if next(received) == 0:
            handler(*args)

    return handle
