# SPDX-License-Identifier: Apache-2.0
"""The measured CPU time and bytes of each step. `python -m benchmarks --only costs` measures them again."""

from dataclasses import dataclass, field
from typing import Any


def _cost(about: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU seconds and bytes of a write, a call, a lane and a dead letter; bytes beyond the write's own."""

    api_accept_s: float = _cost("api: accept one write")
    store_accept_s: float = _cost("store: accept one write")
    worker_call_s: float = _cost("worker: each call")
    store_call_s: float = _cost("store: each call")
    worker_write_s: float = _cost("worker: each write of a call")
    store_write_s: float = _cost("store: each write of a call")
    pending_bytes: int = _cost("store's memory: pending write, beyond its own bytes")
    settled_bytes: int = _cost("store's memory: record of a settled call, for one day")
    lane_bytes: int = _cost("store's memory: run with pending writes")
    settled_lane_bytes: int = _cost("store's memory: run without pending writes, for one day")
    dead_letter_bytes: int = _cost("store's memory: dead letter, beyond its write's own bytes")
    log_accept_bytes: int = _cost("store's log: accepted write, beyond its own bytes")
    log_write_bytes: int = _cost("store's log: each write of a call")
    log_call_bytes: int = _cost("store's log: each call")


#: 29 November 2026: two shared cores (a virtual machine), Python 3.11.7, Valkey 8.1.8 that syncs each write.
MEASURED = Costs(
    api_accept_s=308e-6,
    store_accept_s=101e-6,
    worker_call_s=6_770e-6,
    store_call_s=1_460e-6,
    worker_write_s=34e-6,
    store_write_s=6e-6,
    pending_bytes=31,
    settled_bytes=39,
    lane_bytes=1_668,
    settled_lane_bytes=694,
    dead_letter_bytes=1_456,
    log_accept_bytes=364,
    log_write_bytes=19,
    log_call_bytes=4_044,
)
