# SPDX-License-Identifier: Apache-2.0
"""Counts the backlog of one client, for `RedisOutbox`.

Lanes that only this client writes to are counted in one round trip. A lane with writes of other clients has to be read.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.outbox import ClientBacklog
from bridge.redis_store import keys
from bridge.redis_store.job_status import lanes_of, pending_jobs
from bridge.redis_store.timestamps import from_ms, store_time_ms

#: Lanes of which writes are counted. Those of further lanes are counted in bytes only.
_MAX_LANES = 1000
#: Lanes with writes of other clients that are read, and the most that is read of each.
_MAX_SHARED_LANES = 20
_MAX_SHARED_WRITES = 1000
_MAX_SHARED_BYTES = 1 << 20


class _LaneState(msgspec.Struct, frozen=True):
    lane: str
    writes: int
    #: Whether another client has written to it, too, since it was last empty.
    is_shared: bool
    #: Why the last attempt failed: reason, colon, message. Empty if none has failed.
    failure: str
    is_denied: bool
    oldest_ms: float | None
    due_ms: float | None


def count_client_backlog(client: Any, name: str) -> ClientBacklog:  # noqa: ANN401 - see RedisOutbox
    """Return the backlog of the client of this name."""
    lanes = lanes_of(client, name, limit=_MAX_LANES)
    lane_count, pending_bytes, now_ms = _read_totals(client, name)
    states = _read_states(client, name, lanes)
    own = [state for state in states if not state.is_shared]
    shared = [state for state in states if state.is_shared]
    writes = sum(state.writes for state in own)
    accepted_ms = [state.oldest_ms for state in own if state.oldest_ms]
    is_complete = lane_count <= len(lanes) and len(shared) <= _MAX_SHARED_LANES
    for state in shared[:_MAX_SHARED_LANES]:
        jobs, next_position = pending_jobs(
            client, state.lane, client_name=name, after=0, limit=_MAX_SHARED_WRITES, max_bytes=_MAX_SHARED_BYTES
        )
        writes += len(jobs)
        is_complete = is_complete and next_position is None
        accepted_ms += [job.accepted_at.timestamp() * 1000 for job in jobs[:1]]
    failing = [state for state in states if state.failure]
    # A lane that is due already waits for a worker, not for its next attempt.
    due_ms = [state.due_ms for state in failing if state.due_ms and state.due_ms > now_ms]
    return ClientBacklog(
        lanes=lane_count,
        writes=writes,
        bytes=pending_bytes,
        oldest_accepted_at=from_ms(min(accepted_ms)) if accepted_ms else None,
        is_complete=is_complete,
        failures=tuple(sorted({"denied" if state.is_denied else _reason(state.failure) for state in failing})),
        next_attempt_at=from_ms(min(due_ms)) if due_ms else None,
    )


def _read_totals(client: Any, name: str) -> tuple[int, int, float]:  # noqa: ANN401
    """Return the number of lanes with writes of the client, the bytes of these writes, and the store's time in ms."""
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        # A member is the name, a line feed and the lane; ``\x0b`` is the character after a line feed.
        pipeline.zlexcount(keys.writers(number), f"[{name}\n", f"({name}\x0b")
        pipeline.hget(keys.held(number), f"of:{name}")
    answers = pipeline.execute()
    lane_counts, sizes = answers[::2], answers[1::2]
    return sum(lane_counts), sum(int(size or 0) for size in sizes), store_time_ms(client)


def _read_states(client: Any, name: str, lanes: Sequence[str]) -> list[_LaneState]:  # noqa: ANN401
    """Return the state of each lane, in one round trip."""
    pipeline = client.pipeline(transaction=False)
    for lane in lanes:
        number = keys.partition(lane)
        pipeline.llen(keys.writes(lane))
        pipeline.hmget(keys.lane_state(lane), "writers", "failure", "denied_since")
        pipeline.zscore(keys.oldest(number), lane)
        pipeline.zscore(keys.ready(number), lane)
    answers = pipeline.execute() if lanes else []
    parts = zip(lanes, answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True)
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
