# SPDX-License-Identifier: Apache-2.0
"""Dispatch by Celery: the hint that a lane is due is a task with the lane as its only argument.

A Celery worker that consumes several queues takes from each in turn.

Publishing a hint takes longer than accepting a write, so a background thread publishes them.
"""

import datetime as dt
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from celery import Celery
from kombu.exceptions import LimitExceeded, OperationalError

from bridge.dispatch import QUEUE_COUNT, DispatchCapacity, queue_of
from bridge.dispatch.redis_failures import is_redis_failure
from bridge.events import DispatchFailed, Observer
from bridge.process.background import BackgroundThread

#: The name of the only task: it delivers the lane that is its argument.
TASK = "bridge.deliver"
QUEUES = tuple(f"bridge.deliver.{number:02}" for number in range(QUEUE_COUNT))

#: Hints of a queue that wait to be published, and that wait in the broker. The sweep finds the lanes of further ones.
_MAX_UNPUBLISHED = 10_000
_MAX_IN_BROKER = 2_000
#: Hints that are published in one round trip.
_MAX_BATCH_HINTS = 100
#: How long to wait for a free connection to the broker.
_POOL_TIMEOUT_S = 1

T = TypeVar("T")


def celery_app(broker_url: str, *, timeout: dt.timedelta) -> Celery:
    """Return a Celery app for this broker in which no call blocks for longer than about ``timeout``.

    A hint that can't be published now is dropped, not retried: the sweep finds its lane.
    """
    app = Celery("mlflow-bridge", broker=_kombu_url(broker_url), set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_pool_acquire_timeout=timeout.total_seconds(),
        broker_transport_options={
            # One slot in a cluster, and a prefix that separates them from the store's keys if both are one Redis.
            "global_keyprefix": "{bridge-broker}:",
            # All times are in seconds. A hint that a lost worker has taken is given to another one after this time.
            "visibility_timeout": 120,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": timeout.total_seconds(),
            "socket_connect_timeout": timeout.total_seconds(),
            "socket_keepalive": not broker_url.startswith("unix:"),
            "health_check_interval": 25,
        },
        task_default_queue=QUEUES[0],
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
        self._unpublished: RoundRobinQueue[str] = RoundRobinQueue(max_length=_MAX_UNPUBLISHED)
        self._publisher = BackgroundThread("dispatch", self._publish, observe=observe)

    def lane_due(self, lane: str, client: str) -> None:
        """Publish the hint soon."""
        if not self._unpublished.put(queue_of(client), lane):
            self._observe(DispatchFailed(hints=1, reason="the queue of unpublished hints is full"))
        self._publisher.start()

    def capacity(self) -> DispatchCapacity:
        """Return how many more hints the broker should be given now."""
        lengths = self._queue_lengths()
        if lengths is None:
            return DispatchCapacity([0] * QUEUE_COUNT)
        waiting = [length + self._unpublished.length(number) for number, length in enumerate(lengths)]
        return DispatchCapacity([max(0, _MAX_IN_BROKER - count) for count in waiting])

    def ping(self) -> bool:
        """Return whether the broker answers."""
        return self._queue_lengths() is not None

    def _queue_lengths(self) -> list[int] | None:
        """Return how many hints each queue of the broker holds, None if it does not answer."""
        try:
            with self._app.pool.acquire(block=True, timeout=_POOL_TIMEOUT_S) as connection:
                # Not by declaring the queue: with a key prefix, kombu checks its existence under a wrong name.
                pipeline = connection.default_channel.client.pipeline(transaction=False)
                for queue in QUEUES:
                    pipeline.llen(queue)
                return [int(length) for length in pipeline.execute()]
        except (OSError, OperationalError, LimitExceeded):
            return None
        except Exception as error:
            # A pooled connection that the broker has closed raises the driver's own error, untranslated.
            if not is_redis_failure(error, "kombu"):
                raise
            return None

    def _publish(self) -> None:
        batch = self._unpublished.take(limit=_MAX_BATCH_HINTS)
        try:
            self._send(batch)
        except Exception as error:  # noqa: BLE001 - whatever a broker raises, the hint is only a hint
            # All hints are dropped: a broker that is down must not cost a timeout for each. The sweep finds the lanes.
            hints = len(batch) + self._unpublished.clear()
            # kombu raises its own error for a batch; the cause of that is the error of the driver.
            self._observe(DispatchFailed(hints=hints, reason=type(error.__cause__ or error).__name__))

    def _send(self, batch: list[tuple[int, str]]) -> None:
        """Publish each lane to the queue of its number. One round trip: it is most of the cost of a hint."""
        with self._app.producer_or_acquire() as producer, producer.batch():
            for number, lane in batch:
                # Workers declare the queues that they consume; publishers need not.
                self._app.send_task(
                    TASK, args=(lane,), queue=QUEUES[number], declare=(), producer=producer, ignore_result=True
                )
                # Yields the GIL: the thread that answers clients would otherwise wait for the whole batch.
                time.sleep(0)


class RoundRobinQueue(Generic[T]):
    """A bounded round-robin queue: one FIFO queue per key, served in turn. Thread-safe."""

    def __init__(self, *, max_length: int) -> None:
        """``max_length`` bounds the queue of each key."""
        self._max_length = max_length
        #: Only keys with items, the next one to be served first.
        self._queues: dict[int, deque[T]] = {}
        self._not_empty = threading.Condition()

    def put(self, key: int, item: T) -> bool:
        """Append to the key's queue; return whether there was room."""
        with self._not_empty:
            queue = self._queues.setdefault(key, deque())
            if len(queue) >= self._max_length:
                return False
            queue.append(item)
            self._not_empty.notify()
            return True

    def take(self, *, limit: int) -> list[tuple[int, T]]:
        """Wait for an item, then return up to ``limit`` items with their keys, one of each key in turn."""
        with self._not_empty:
            while not self._queues:
                self._not_empty.wait()
            taken: list[tuple[int, T]] = []
            while self._queues and len(taken) < limit:
                key = next(iter(self._queues))
                queue = self._queues.pop(key)
                taken.append((key, queue.popleft()))
                if queue:
                    self._queues[key] = queue
            return taken

    def clear(self) -> int:
        """Remove all items; return how many there were."""
        with self._not_empty:
            count = sum(len(queue) for queue in self._queues.values())
            self._queues.clear()
            return count

    def length(self, key: int) -> int:
        """Return the length of the key's queue."""
        with self._not_empty:
            return len(self._queues.get(key, ()))


def _kombu_url(url: str) -> str:
    # Celery has its own scheme and parameter for a Unix socket.
    return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
