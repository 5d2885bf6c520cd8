# SPDX-License-Identifier: Apache-2.0
"""Finds lanes that are due, for the sweep."""

import random
from typing import Any

from bridge.outbox import DueLane
from bridge.redis_outbox import keys
from bridge.redis_outbox.scripts import Scripts


def due_lanes(client: Any, scripts: Scripts, *, limit: int, guard_ms: int) -> list[DueLane]:  # noqa: ANN401 - redis-py
    """Return lanes that are due, no more than each partition's part of the limit, each with its client.

    It begins at another partition each time: one that always has many due lanes must not keep the others' waiting.
    """
    lanes: list[str] = []
    start, most = random.randrange(keys.PARTITIONS), max(1, limit // keys.PARTITIONS)  # noqa: S311 - it only spreads
    for number in (*range(start, keys.PARTITIONS), *range(start)):
        if len(lanes) < limit:
            arguments = [min(most, limit - len(lanes)), guard_ms, random.random()]  # noqa: S311
            found = scripts.due([keys.ready(number), keys.sweep(number)], arguments)
            lanes += [lane.decode() for lane in found]
    pipeline = client.pipeline(transaction=False)
    for lane in lanes:
        pipeline.hget(keys.lane_state(lane), "client")
    return [DueLane(lane, (whose or b"").decode()) for lane, whose in zip(lanes, pipeline.execute(), strict=True)]
