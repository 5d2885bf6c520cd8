# SPDX-License-Identifier: Apache-2.0
"""Runs one worker process: the command ``mlflow-bridge-worker``."""

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
from bridge.telemetry.logs import configure_logging
from bridge.telemetry.standard_error import ensure_standard_error
from workers.app import create_app
from workers.periodic import start_sweeping


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Deliver to upstream what waits in the store, until told to stop.

    After SIGTERM the calls in flight finish, and the runs are given back. The bridge is set by environment variables,
    of which BRIDGE_UPSTREAM and BRIDGE_STORE_URL are needed; `mlflow-bridge settings` lists them, and
    `mlflow-bridge doctor` says what is wrong with them.
    """
    ensure_standard_error("mlflow-bridge-worker")
    try:
        settings = read_settings(os.environ)
        worker = build_worker(settings)
        check_store(worker.outbox, _warn)
    except (InvalidSettings, CannotStart) as error:
        sys.exit(f"mlflow-bridge-worker: {error}")
    configure_logging(settings.log_level)
    _follow(worker)
    create_app(worker).worker_main(
        [
            # Without its banner: whoever reads the log expects lines of one kind. Its words at a stop can't be had
            # out of it.
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


def _follow(worker: Worker) -> None:
    """Tie the worker to the life of its Celery process. Celery holds receivers weakly unless told otherwise."""

    def on_ready(**_: Any) -> None:  # noqa: ANN401 - Celery's signals pass what they like
        start_sweeping(worker)
        worker.report_threads()
        signal.signal(signal.SIGTERM, _at_first(signal.getsignal(signal.SIGTERM)))

    def on_stop(**_: Any) -> None:  # noqa: ANN401
        worker.stopping.set()

    def on_logging(**_: Any) -> None:  # noqa: ANN401
        # That this is followed keeps Celery from setting up logs of its own.
        # It tells each task's coming and going; the deliveries tell it better.
        logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
        logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)

    def on_end(**_: Any) -> None:  # noqa: ANN401
        worker.close()
        # Python gives signals their default back while it ends: a late one would make a clean stop look like a crash.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    worker_ready.connect(on_ready, weak=False)
    worker_shutdown.connect(on_end, weak=False)
    worker_shutting_down.connect(on_stop, weak=False)
    setup_logging.connect(on_logging, weak=False)


def _at_first(receiver: Any) -> Callable[..., None]:  # noqa: ANN401 - as `signal` has it
    """Have only the first signal received: Celery's receiver takes a lock, and a second signal would interrupt it."""
    received = count()

    def receive(*args: object) -> None:
        if next(received) == 0:
            receiver(*args)

    return receive
