# SPDX-License-Identifier: Apache-2.0
"""Dispatch by Celery: the hint that a lane is due is a task whose only argument is the lane.

Each line of hints is a queue of Celery's, and a worker that takes from several takes from each in turn.

Publishing costs a client more than accepting its write does, so hints are handed to a thread and published from there.
"""

import datetime as dt
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from celery import Celery
from kombu.exceptions import LimitExceeded, OperationalError

from bridge.dispatch import LINES, Room, line_of
from bridge.dispatch.redis_failures import is_redis_failure
from bridge.events import DispatchFailed, Observer
from bridge.process.background import BackgroundThread

TASK = "bridge.deliver"
QUEUES = tuple(f"bridge.deliver.{line:02}" for line in range(LINES))

#: Hints of a line that wait to be published, and that wait in the broker, before further ones are left to the sweep.
_MOST_WAITING = 10_000
_MOST_IN_BROKER = 2_000
#: So many are published at once.
_MOST_AT_ONCE = 100


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
        self._waiting: RoundRobinQueue[str] = RoundRobinQueue(most=_MOST_WAITING)
        self._publisher = BackgroundThread("dispatch", self._publish, observe=observe)

    def lane_due(self, lane: str, client: str) -> None:
        """Have the hint published soon."""
        if not self._waiting.put(line_of(client), lane):
            self._observe(DispatchFailed(hints=1, reason="too many hints wait to be published"))
        self._publisher.start()

    def room(self) -> Room:
        """Return how many more hints the broker should be given now."""
        waiting = self._waiting_in_broker()
        if waiting is None:
            return Room([0] * LINES)
        return Room(
            [max(0, _MOST_IN_BROKER - count - self._waiting.waiting(line)) for line, count in enumerate(waiting)]
        )

    def ping(self) -> bool:
        """Return whether the broker answers."""
        return self._waiting_in_broker() is not None

    def _waiting_in_broker(self) -> list[int] | None:
        """Return how many hints wait in each line in the broker, None if it does not answer."""
        try:
            with self._app.pool.acquire(block=True, timeout=1) as connection:
                # Not by declaring the queue: with a key prefix, kombu looks whether it exists under a wrong name.
                pipeline = connection.default_channel.client.pipeline(transaction=False)
                for queue in QUEUES:
                    pipeline.llen(queue)
                return [int(count) for count in pipeline.execute()]
        except (OSError, OperationalError, LimitExceeded):
            return None
        except Exception as error:
            # A pooled connection that the broker has closed raises the driver's own error, untranslated.
            if not is_redis_failure(error, "kombu"):
                raise
            return None

    def _publish(self) -> None:
        due = self._waiting.take(most=_MOST_AT_ONCE)
        try:
            self._send(due)
        except Exception as error:  # noqa: BLE001 - whatever a broker raises, the hint is only a hint
            # All of them: a broker that is down must not cost a timeout for each; the sweep finds the lanes.
            hints = len(due) + self._waiting.clear()
            # What fails as a whole names what it failed of as its cause.
            self._observe(DispatchFailed(hints=hints, reason=type(error.__cause__ or error).__name__))

    def _send(self, due: list[tuple[int, str]]) -> None:
        """Publish in one go: the greater part of what a hint costs is to reach the broker."""
        with self._app.producer_or_acquire() as producer, producer.batch():
            for line, lane in due:
                # The workers declare the queues that they take from; nobody else has to.
                self._app.send_task(
                    TASK, args=(lane,), queue=QUEUES[line], declare=(), producer=producer, ignore_result=True
                )
                # The thread that answers clients would have to wait for the whole lot otherwise.
                time.sleep(0)


def _kombu_url(url: str) -> str:
    """Celery spells a socket's URL differently."""
    return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)


T = TypeVar("T")


class RoundRobinQueue(Generic[T]):
    """Holds so many of each line at most. Threads may put and take at the same time."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._lines: dict[int, deque[T]] = {}
        self._there = threading.Condition()

    def put(self, line: int, what: T) -> bool:
        """Add to the end of a line; return whether there was room."""
        with self._there:
            waiting = self._lines.setdefault(line, deque())
            if len(waiting) >= self._most:
                return False
            waiting.append(what)
            self._there.notify()
            return True

    def take(self, *, most: int) -> list[tuple[int, T]]:
        """Wait until there is anything; return what is there, so much at most, with the line of each.

        Each line gives one at a time, and who gave last has the last turn now.
        """
        with self._there:
            while not self._lines:
                self._there.wait()
            taken: list[tuple[int, T]] = []
            while self._lines and len(taken) < most:
                line = next(iter(self._lines))
                waiting = self._lines.pop(line)
                taken.append((line, waiting.popleft()))
                if waiting:
                    self._lines[line] = waiting
            return taken

    def clear(self) -> int:
        """Forget all that waits; return how much that was."""
        with self._there:
            count = sum(len(waiting) for waiting in self._lines.values())
            self._lines.clear()
            return count

    def waiting(self, line: int) -> int:
        """Return how much waits in a line."""
        with self._there:
            return len(self._lines.get(line, ()))
