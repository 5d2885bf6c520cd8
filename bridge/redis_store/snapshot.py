# SPDX-License-Identifier: Apache-2.0
"""The state of the whole bridge in Redis, in one round trip. The contract is `SnapshotReader`.

A cluster costs one round trip to each of its nodes, and a few more: its pipelines can't ask for the time and for the
configuration. The latter is then remembered for a while. A drain costs one more, the first time that it is seen.
"""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import redis
from redis.cluster import RedisCluster

from bridge.operations.series import MINUTE_S
from bridge.operations.snapshot import Snapshot
from bridge.outbox import Durability
from bridge.redis_store import keys
from bridge.redis_store.accept import WATERMARK
from bridge.redis_store.client import read_durability, store_errors
from bridge.redis_store.drain_log import read_drain
from bridge.redis_store.flow_control import STATE_FIELDS, RedisFlowControl
from bridge.redis_store.series import read_minute
from bridge.redis_store.timestamps import from_ms, store_time_ms
from bridge.redis_store.worker_reports import queue_workers, read_workers
from schemas.drain import Drain, DrainState
from schemas.operations import WorkerDocument

_HOUR_MS = 3_600_000
#: How long the durability of a cluster is remembered.
_DURABILITY_TTL_S = 30.0
_SETTINGS = ("maxmemory-policy", "appendonly", "appendfsync")
#: The number of commands for each partition, and of those for the whole bridge, without drains and server.
_PARTITION_COMMANDS, _BRIDGE_COMMANDS = 6, 7


class RedisSnapshots:
    """See `bridge.operations.snapshot.SnapshotReader` for the promises."""

    def __init__(self, client: redis.Redis, flow_control: RedisFlowControl) -> None:
        self._client: Any = client
        self._flow_control = flow_control
        self._is_cluster = isinstance(client, RedisCluster)
        self._drain_ids: tuple[bytes, ...] = ()
        self._durability: Durability | None = None
        self._durability_read_at = float("-inf")

    def read(self) -> Snapshot:
        """Return the state of the whole bridge."""
        now, drain_ids = time.time(), self._drain_ids
        with store_errors():
            # A refused CONFIG is an answer: managed services forbid it.
            answers = iter(self._queue_commands(now, drain_ids).execute(raise_on_error=False))
            partitions = [_read_partition(answers) for _ in range(keys.PARTITIONS)]
            bridge_answers = [_checked(next(answers)) for _ in range(_BRIDGE_COMMANDS)]
            flow_control, reported_at, reports, previous_minute, current_minute, *active_sets = bridge_answers
            active = [drain_id for active_set in active_sets for drain_id in active_set]
            drains = {drain_id: _checked(next(answers)) for drain_id in drain_ids}
            now_ms, durability, memory_fill = self._read_server(answers)
            for new_id in active:
                if new_id not in drains:
                    drains[new_id] = self._client.hgetall(keys.drain(new_id.decode()))
        self._drain_ids = tuple(active)
        return Snapshot(
            at=from_ms(now_ms),
            **_totals(partitions, now_ms),
            flow_control=self._flow_control.read_state(flow_control, now_ms),
            workers=read_workers(reported_at, reports),
            durability=durability,
            memory_fill=memory_fill,
            drains=tuple(_running_drains(drains[drain_id] for drain_id in active)),
            minutes=(read_minute(previous_minute), read_minute(current_minute)),
            minute_share=now % MINUTE_S / MINUTE_S,
        )

    def workers(self) -> list[WorkerDocument]:
        """Return the workers."""
        pipeline = self._client.pipeline(transaction=False)
        queue_workers(pipeline)
        with store_errors():
            return list(read_workers(*pipeline.execute()))

    def _queue_commands(self, now: float, drain_ids: Iterable[bytes]) -> Any:  # noqa: ANN401 - a pipeline of redis-py
        """Return a pipeline with all commands, in the order in which ``read`` takes their answers."""
        pipeline = self._client.pipeline(transaction=False)
        # By this process's clock: an error of it changes only which letters belong to the last hour.
        an_hour_ago = b"[%013d" % (now * 1000 - _HOUR_MS)
        for number in range(keys.PARTITIONS):
            pipeline.zcard(keys.ready(number))
            pipeline.zrange(keys.ready(number), 0, 0, withscores=True)
            pipeline.zrange(keys.oldest(number), 0, 0, withscores=True)
            pipeline.hgetall(keys.held(number))
            pipeline.zcard(keys.letters(number))
            pipeline.zlexcount(keys.letters(number), an_hour_ago, b"+")
        pipeline.hmget(self._flow_control.key, STATE_FIELDS)
        queue_workers(pipeline)
        for minute in (int(now) // MINUTE_S - 1, int(now) // MINUTE_S):
            pipeline.hgetall(keys.series_minute(minute))
        pipeline.zrange(keys.ACTIVE_DRAINS, 0, -1)
        pipeline.zrange(keys.ACTIVE_DRAINS_BY_CAUSE, 0, -1)
        for drain_id in drain_ids:
            pipeline.hgetall(keys.drain(drain_id.decode()))
        if not self._is_cluster:
            _queue_server(pipeline)
        return pipeline

    def _read_server(self, answers: Iterator[Any]) -> tuple[int, Durability, float | None]:
        """Return the store's time in ms, its durability, and how full its memory is. Of a cluster the last is None."""
        if not self._is_cluster:
            recorded = _RecordedServer(*answers)
            return store_time_ms(recorded), read_durability(recorded), recorded.memory_fill
        if self._durability is None or time.monotonic() - self._durability_read_at > _DURABILITY_TTL_S:
            self._durability, self._durability_read_at = read_durability(self._client), time.monotonic()
        return store_time_ms(self._client), self._durability, None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Partition:
    """The answers about one partition."""

    lanes: int
    #: The lane that comes first in ``ready`` or ``oldest`` and its time in ms; empty if there is none.
    first_due: list[tuple[bytes, float]]
    first_accepted: list[tuple[bytes, float]]
    held: Mapping[bytes, bytes]
    letters: int
    letters_last_hour: int

    @property
    def bytes(self) -> int:
        return max(0, int(self.held.get(b"bytes", 0)))

    @property
    def pending_bytes(self) -> int:
        if not self.lanes:
            return 0
        pending = sum(int(size) for name, size in self.held.items() if name.startswith(b"of:"))
        return min(max(0, pending), self.bytes)

    @property
    def writes(self) -> int | None:
        """The number of pending writes; None if a process of an older release has changed it without counting."""
        if not self.lanes:
            return 0
        writes = int(self.held.get(b"writes", -1))
        is_counted = self.held.get(b"counted") == self.held.get(b"bytes")
        # Each lane that is ready holds a write, so a smaller number is wrong.
        return writes if is_counted and writes >= self.lanes else None


def _read_partition(answers: Iterator[Any]) -> _Partition:
    lanes, due, accepted, held, letters, recent = (_checked(next(answers)) for _ in range(_PARTITION_COMMANDS))
    return _Partition(
        lanes=lanes, first_due=due, first_accepted=accepted, held=held, letters=letters, letters_last_hour=recent
    )


def _totals(partitions: list[_Partition], now_ms: int) -> dict[str, Any]:
    """Return the fields of `Snapshot` that add up all partitions."""
    overdue_ms = [due_ms for each in partitions for _, due_ms in each.first_due if due_ms <= now_ms]
    accepted_ms = [oldest_ms for each in partitions for _, oldest_ms in each.first_accepted]
    known_writes = [each.writes for each in partitions if each.writes is not None]
    pending_bytes = sum(each.pending_bytes for each in partitions)
    return {
        "lanes": sum(each.lanes for each in partitions),
        "writes": sum(known_writes) if len(known_writes) == len(partitions) else None,
        "pending_bytes": pending_bytes,
        "dead_bytes": sum(each.bytes for each in partitions) - pending_bytes,
        "oldest_accepted_at": from_ms(min(accepted_ms)) if accepted_ms else None,
        "oldest_due": from_ms(min(overdue_ms)) if overdue_ms else None,
        "dead_letters": sum(each.letters for each in partitions),
        "dead_letters_last_hour": sum(each.letters_last_hour for each in partitions),
    }


def _running_drains(stored: Iterable[Mapping[bytes, bytes]]) -> Iterator[Drain]:
    drains = (read_drain(fields) for fields in stored if fields)
    return (drain for drain in drains if drain.state is DrainState.RUNNING)


def _checked(answer: Any) -> Any:  # noqa: ANN401 - as the store answers
    if isinstance(answer, Exception):
        raise answer
    return answer


def _queue_server(pipeline: Any) -> None:  # noqa: ANN401
    """Add the commands to this pipeline: their answers are the arguments of `_RecordedServer`."""
    pipeline.time()
    pipeline.info("server")
    pipeline.info("memory")
    pipeline.zrange(keys.FORMAT, 0, -1, withscores=True)
    for name in _SETTINGS:
        pipeline.config_get(name)


class _RecordedServer:
    """The answers of one server about itself, in the form of a client that asks for them."""

    def __init__(self, now: Any, server: Any, memory: Any, stored_format: Any, *settings: Any) -> None:  # noqa: ANN401
        self._now = now
        self._sections = {"server": server, "memory": memory}
        self._format = stored_format
        self._settings = dict(zip(_SETTINGS, settings, strict=True))

    @property
    def memory_fill(self) -> float | None:
        memory = self._sections["memory"]
        if not isinstance(memory, dict) or not memory.get("maxmemory"):
            return None
        return float(memory.get("used_memory", 0) / (memory["maxmemory"] * WATERMARK))

    def time(self) -> Any:  # noqa: ANN401
        return _checked(self._now)

    def info(self, section: str) -> Any:  # noqa: ANN401
        return _checked(self._sections[section])

    def config_get(self, name: str) -> Any:  # noqa: ANN401
        return _checked(self._settings[name])

    def zrange(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - of the format only
        return _checked(self._format)
