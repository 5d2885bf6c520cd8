# SPDX-License-Identifier: Apache-2.0
"""Dispatch by Celery: the hint that a lane is due is a task whose only argument is the lane.

Publishing costs a client more than accepting its write does, so hints are handed to a thread and published from there.
"""

import datetime as dt
import queue
import threading

from celery import Celery
from kombu.exceptions import LimitExceeded, OperationalError
from redis.exceptions import RedisError

from bridge.events import DispatchFailed, Observer

TASK = "bridge.deliver"
QUEUE = "bridge.deliver"

#: Hints that wait to be published, and hints that wait in the broker, before further ones are left to the sweep.
_MOST_WAITING = 10_000
_MOST_IN_BROKER = 2_000


def celery_app(broker_url: str, *, timeout: dt.timedelta) -> Celery:
    """Return a Celery app for this broker in which nothing waits for longer than about ``timeout``.

    A hint that can't be published now is dropped rather than retried, for the sweep finds its lane.
    """
    app = Celery("mlflow-bridge", broker=_kombu_url(broker_url), set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_pool_acquire_timeout=timeout.total_seconds(),
        broker_transport_options={
            # Celery's keys share one slot and a name of their own, beside the store's if both are one Redis.
            "global_keyprefix": "{bridge-broker}:",
            "visibility_timeout": 120,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": timeout.total_seconds(),
            "socket_connect_timeout": timeout.total_seconds(),
            "socket_keepalive": not broker_url.startswith("unix:"),
            "health_check_interval": 25,
        },
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
    )
    return app


class CeleryDispatch:
    """See `bridge.dispatch.Dispatch` for the promises."""

    def __init__(self, broker_url: str, *, observe: Observer, timeout: dt.timedelta) -> None:
        self._app = celery_app(broker_url, timeout=timeout)
        self._observe = observe
        self._waiting: queue.Queue[str] = queue.Queue(maxsize=_MOST_WAITING)
        self._publisher: threading.Thread | None = None
        self._starting = threading.Lock()

    def lane_due(self, lane: str) -> None:
        """Have the hint published soon."""
        try:
            self._waiting.put_nowait(lane)
        except queue.Full:
            self._observe(DispatchFailed(why="too many hints wait to be published"))
        if self._publisher is None:
            self._start()

    def room(self) -> int:
        """Return how many more hints the broker should be given now."""
        waiting = self._waiting_in_broker()
        return 0 if waiting is None else max(0, _MOST_IN_BROKER - waiting - self._waiting.qsize())

    def ping(self) -> bool:
        """Return whether the broker answers."""
        return self._waiting_in_broker() is not None

    def _waiting_in_broker(self) -> int | None:
        """Return how many hints wait in the broker, None if it does not answer."""
        try:
            with self._app.pool.acquire(block=True, timeout=1) as connection:
                # Not by declaring the queue: with a key prefix, kombu looks whether it exists under a wrong name.
                return int(connection.default_channel.client.llen(QUEUE))
        except (OSError, OperationalError, LimitExceeded, RedisError):
            # A pooled connection that the broker has closed since raises the driver's own error, untranslated.
            return None

    def _start(self) -> None:
        # Started on first use, so that the thread belongs to the process that uses it.
        with self._starting:
            if self._publisher is None:
                self._publisher = threading.Thread(target=self._publish, name="dispatch", daemon=True)
                self._publisher.start()

    def _publish(self) -> None:
        while True:
            lane = self._waiting.get()
            try:
                self._app.send_task(TASK, args=(lane,), queue=QUEUE, ignore_result=True)
            except Exception as error:  # noqa: BLE001 - whatever a broker raises, the hint is only a hint
                self._observe(DispatchFailed(why=type(error).__name__))
                self._drop_waiting()

    def _drop_waiting(self) -> None:
        """Leave what waits to the sweep, so that a broker that is down does not cost a timeout for each hint."""
        while not self._waiting.empty():
            self._waiting.get_nowait()


def _kombu_url(url: str) -> str:
    """Celery spells a socket's URL differently."""
    return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
