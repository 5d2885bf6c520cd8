# SPDX-License-Identifier: Apache-2.0
"""The port for the state of the whole bridge at one moment."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.outbox import Durability
from bridge.upstream.flow_control import FlowControlState
from schemas.drain import Drain
from schemas.operations import WorkerDocument

#: A worker is alive for this time after its last report.
WORKER_TTL = dt.timedelta(seconds=10)

#: The numbers of one minute, by a name of `bridge.operations.series`; for a histogram by its name and bucket.
Minute = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the whole bridge."""

    #: The moment, by the store's clock.
    at: dt.datetime
    lanes: int
    #: None where it is not known.
    writes: int | None
    pending_bytes: int
    dead_bytes: int
    oldest_accepted_at: dt.datetime | None
    #: Since when the longest-due lane has been due; None if none is.
    oldest_due: dt.datetime | None
    dead_letters: int
    dead_letters_last_hour: int
    flow_control: FlowControlState
    #: All that have reported within the last hour.
    workers: tuple[WorkerDocument, ...]
    durability: Durability
    #: The share that is used of the memory beyond which no write is accepted; None where there is no limit.
    memory_fill: float | None = None
    #: The drains that are running.
    drains: tuple[Drain, ...]
    #: The last complete minute and the running one.
    minutes: tuple[Minute, Minute]
    #: The share of the running minute that is over, from 0 to 1.
    minute_share: float

    @property
    def alive_workers(self) -> tuple[WorkerDocument, ...]:
        """The workers that have reported recently."""
        return tuple(worker for worker in self.workers if worker.reported_at >= self.at - WORKER_TTL)


class SnapshotReader(Protocol):
    """Reads the state of the whole bridge."""

    def read(self) -> Snapshot:
        """Return the state, in one round trip to the store."""
        ...

    def workers(self) -> list[WorkerDocument]:
        """Return the worker processes that have reported within the last hour, in order of their names."""
        ...
