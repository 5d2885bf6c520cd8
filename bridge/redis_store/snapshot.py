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
#: Commands for each partition.
_PARTITION_COMMANDS = 6


class RedisSnapshots:
    """See `bridge.operations.snapshot.SnapshotReader` for the promises."""

    def __init__(self, client: redis.Redis, flow_control: RedisFlowControl) -> None:
        self._client: Any = client
        self._flow_control = flow_control
        self._is_cluster = isinstance(client, RedisCluster)
        self._drain_ids: tuple[bytes, ...] = ()
        self._durability: tuple[float, Durability] | None = None

    def read(self) -> Snapshot:
        """Return the state of the whole bridge."""
        now, drain_ids = time.time(), self._drain_ids
        with store_errors():
            # A refused CONFIG is an answer: managed services forbid it.
            answers = iter(self._queue(now, drain_ids).execute(raise_on_error=False))
            partitions = [_partition(answers) for _ in range(keys.PARTITIONS)]
            gate, reported, reports, previous, running, active, by_cause = (_checked(next(answers)) for _ in range(7))
            active = [*active, *by_cause]
            drains = dict(zip(drain_ids, (_checked(next(answers)) for _ in drain_ids), strict=True))
            now_ms, durability, memory_fill = self._server(answers)
            drains |= {each: self._client.hgetall(keys.drain(each.decode())) for each in active if each not in drains}
        self._drain_ids = tuple(active)
        return Snapshot(
            at=from_ms(now_ms),
            **_totals(partitions, now_ms),
            flow_control=self._flow_control.read_state(gate, now_ms),
            workers=read_workers(reported, reports),
            durability=durability,
            memory_fill=memory_fill,
            drains=tuple(_running(drains[each] for each in active)),
            minutes=(read_minute(previous), read_minute(running)),
            minute_share=now % MINUTE_S / MINUTE_S,
        )

    def workers(self) -> list[WorkerDocument]:
        """Return the workers."""
        pipeline = self._client.pipeline(transaction=False)
        queue_workers(pipeline)
        with store_errors():
            return list(read_workers(*pipeline.execute()))

    def _queue(self, now: float, drain_ids: Iterable[bytes]) -> Any:  # noqa: ANN401 - a pipeline of redis-py
        pipeline = self._client.pipeline(transaction=False)
        # Only the number of a few lines depends on this process's clock.
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

    def _server(self, answers: Iterator[Any]) -> tuple[int, Durability, float | None]:
        """Return the store's time in ms, its durability, and how full its memory is. Of a cluster the last is None."""
        if not self._is_cluster:
            recorded = _RecordedServer(*answers)
            return store_time_ms(recorded), read_durability(recorded), recorded.memory_fill
        remembered, now = self._durability, time.monotonic()
        if remembered is None or now - remembered[0] > _DURABILITY_TTL_S:
            remembered = self._durability = (now, read_durability(self._client))
        return store_time_ms(self._client), remembered[1], None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Partition:
    lanes: int
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
        # Each lane that is ready holds a write.
        return writes if writes >= self.lanes and self.held.get(b"counted") == self.held.get(b"bytes") else None


def _partition(answers: Iterator[Any]) -> _Partition:
    lanes, due, accepted, held, letters, recent = (_checked(next(answers)) for _ in range(_PARTITION_COMMANDS))
    return _Partition(
        lanes=lanes, first_due=due, first_accepted=accepted, held=held, letters=letters, letters_last_hour=recent
    )


def _totals(partitions: list[_Partition], now_ms: int) -> dict[str, Any]:
    overdue = [due for each in partitions for _, due in each.first_due if due <= now_ms]
    accepted = [at for each in partitions for _, at in each.first_accepted]
    counts = [each.writes for each in partitions]
    known, pending = [count for count in counts if count is not None], sum(each.pending_bytes for each in partitions)
    return {
        "lanes": sum(each.lanes for each in partitions),
        "writes": sum(known) if len(known) == len(counts) else None,
        "pending_bytes": pending,
        "dead_bytes": sum(each.bytes for each in partitions) - pending,
        "oldest_accepted_at": from_ms(min(accepted)) if accepted else None,
        "oldest_due": from_ms(min(overdue)) if overdue else None,
        "dead_letters": sum(each.letters for each in partitions),
        "dead_letters_last_hour": sum(each.letters_last_hour for each in partitions),
    }


def _running(stored: Iterable[Mapping[bytes, bytes]]) -> Iterator[Drain]:
    drains = (read_drain(fields) for fields in stored if fields)
    return (drain for drain in drains if drain.state is DrainState.RUNNING)


def _checked(answer: Any) -> Any:  # noqa: ANN401 - as the store answers
    if isinstance(answer, Exception):
        raise answer
    return answer


def _queue_server(pipeline: Any) -> None:  # noqa: ANN401
    """Ask for what `_RecordedServer` holds."""
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
