# SPDX-License-Identifier: Apache-2.0
"""Counts what is pending of one client. Only lanes with writes of other clients cost round trips of their own."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.outbox import ClientBacklog
from bridge.redis_store import keys
from bridge.redis_store.job_status import lanes_of, pending_jobs

#: Lanes that are looked at. What waits in further ones is counted in bytes only.
_MAX_LANES = 1000
#: A lane with writes of other clients has to be read, because it does not say how many writes of each it holds.
_MAX_SHARED_LANES = 20
_MAX_SHARED_WRITES = 1000
_MAX_SHARED_BYTES = 1 << 20


class _LaneState(msgspec.Struct, frozen=True):
    lane: str
    writes: int
    #: Whether another client has written to it, too, since it was last empty.
    is_shared: bool
    failure: str
    is_denied: bool
    oldest_ms: float | None
    due_ms: float | None


def count_client_backlog(client: Any, name: str) -> ClientBacklog:  # noqa: ANN401 - see RedisOutbox
    """Return what is pending of the client of this name."""
    lanes = lanes_of(client, name, limit=_MAX_LANES)
    count, size, now_ms = _totals(client, name)
    states = _states(client, name, lanes)
    own = [state for state in states if not state.is_shared]
    shared = [state for state in states if state.is_shared]
    writes = sum(state.writes for state in own)
    oldest = [state.oldest_ms for state in own if state.oldest_ms]
    is_complete = count <= len(lanes) and len(shared) <= _MAX_SHARED_LANES
    for state in shared[:_MAX_SHARED_LANES]:
        jobs, more = pending_jobs(
            client, state.lane, of=name, after=0, limit=_MAX_SHARED_WRITES, max_bytes=_MAX_SHARED_BYTES
        )
        writes += len(jobs)
        is_complete = is_complete and more is None
        oldest += [job.accepted_at.timestamp() * 1000 for job in jobs[:1]]
    failing = [state for state in states if state.failure]
    # A lane that is due already waits for a worker, not for its next attempt.
    due = [state.due_ms for state in failing if state.due_ms and state.due_ms > now_ms]
    return ClientBacklog(
        lanes=count,
        writes=writes,
        bytes=size,
        oldest_accepted_at=_time(min(oldest)) if oldest else None,
        is_complete=is_complete,
        failures=tuple(sorted({"denied" if state.is_denied else _reason(state.failure) for state in failing})),
        next_attempt_at=_time(min(due)) if due else None,
    )


def _totals(client: Any, name: str) -> tuple[int, int, float]:  # noqa: ANN401
    """Return in how many lanes the client's writes are, their bytes, and the store's time in ms."""
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        # A member is the name, a line feed and the lane; ``\x0b`` is the character after a line feed.
        pipeline.zlexcount(keys.writers(number), f"[{name}\n", f"({name}\x0b")
        pipeline.hget(keys.held(number), f"of:{name}")
    found = pipeline.execute()
    seconds, micros = client.time()
    return sum(found[::2]), sum(int(size or 0) for size in found[1::2]), seconds * 1000 + micros / 1000


def _states(client: Any, name: str, lanes: Sequence[str]) -> list[_LaneState]:  # noqa: ANN401
    pipeline = client.pipeline(transaction=False)
    for lane in lanes:
        number = keys.partition(lane)
        pipeline.llen(keys.writes(lane))
        pipeline.hmget(keys.lane_state(lane), "writers", "failure", "denied_since")
        pipeline.zscore(keys.oldest(number), lane)
        pipeline.zscore(keys.ready(number), lane)
    found = pipeline.execute() if lanes else []
    parts = zip(lanes, found[::4], found[1::4], found[2::4], found[3::4], strict=True)
    return [
        _LaneState(
            lane=lane,
            writes=writes,
            is_shared=(writers or b"").decode().split() not in ([], [name]),
            failure=(failure or b"").decode(),
            is_denied=denied_since is not None,
            oldest_ms=oldest,
            due_ms=due,
        )
        for lane, writes, (writers, failure, denied_since), oldest, due in parts
    ]


def _reason(failure: str) -> str:
    return failure.partition(": ")[0]


def _time(ms: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
