# SPDX-License-Identifier: Apache-2.0
"""The measured CPU time and bytes of each step. `python -m benchmarks --only costs` measures them again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU seconds and bytes of a write, a call, a lane and a dead letter; bytes beyond the write's own."""

    #: Of an api process: reading a request, validation, acceptance, the response.
    api_accept_s: float
    #: Of the store, for an accepted write.
    store_accept_s: float
    #: Of a worker and of the store, for each call.
    worker_call_s: float
    store_call_s: float
    #: Of a worker and of the store, for each write of a call.
    worker_write_s: float
    store_write_s: float
    #: Memory of the store.
    pending_bytes: int
    settled_bytes: int
    lane_bytes: int
    dead_letter_bytes: int
    #: The store's log on disk, before it is rewritten.
    log_accept_bytes: int
    log_write_bytes: int
    log_call_bytes: int


#: 29 November 2026: two shared cores (a virtual machine), Python 3.11.7, Valkey 8.1.8 that syncs each write.
MEASURED = Costs(
    api_accept_s=400e-6,
    store_accept_s=150e-6,
    worker_call_s=3e-3,
    store_call_s=500e-6,
    worker_write_s=20e-6,
    store_write_s=5e-6,
    pending_bytes=25,
    settled_bytes=25,
    lane_bytes=700,
    dead_letter_bytes=400,
    log_accept_bytes=500,
    log_write_bytes=5,
    log_call_bytes=1500,
)
