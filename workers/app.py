# SPDX-License-Identifier: Apache-2.0
"""The Celery app of a worker process and its configuration (why: docs/adr/0002-celery-carries-hints.md)."""

import datetime as dt

from celery import Celery

from bridge.bootstrap.processes import Worker
from bridge.dispatch.celery_dispatch import TASK, celery_app

#: A worker's connection blocks while it waits for hints, so it needs a longer timeout than a publisher's.
_BROKER_TIMEOUT = dt.timedelta(seconds=5)


def create_app(worker: Worker) -> Celery:
    """Return the app with its only task, which delivers a lane."""
    app = celery_app(worker.settings.broker, timeout=_BROKER_TIMEOUT)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_pool_limit=worker.settings.worker_concurrency + 2,
    )

    @app.task(name=TASK)  # type: ignore[untyped-decorator] # Celery is untyped
    def deliver(lane: str) -> None:
        with worker.activity.delivering():
            worker.delivery.deliver(lane)

    return app
