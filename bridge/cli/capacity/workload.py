# SPDX-License-Identifier: Apache-2.0
"""A workload: the load of the clients, and the capacity of upstream and of the store."""

from dataclasses import dataclass

from schemas.mlflow_limits import MAX_BATCH_BYTES, MAX_METRICS

DAY_S = 86_400
#: The shares of a processor, of the store's memory and of upstream's capacity above which queues grow.
MAX_CPU_SHARE = 0.6
MAX_MEMORY_SHARE = 0.6
MAX_UPSTREAM_SHARE = 0.8
#: Processors of a worker's task on AWS (`deploy/cdk/service.py`). An api process uses one.
WORKER_TASK_CPUS = 0.5
#: A thread keeps to a lane for this time while writes arrive there (`bridge.delivery.deliverer.Timing`).
TURN_S = 0.25
#: Round trips to the store that a call costs its worker: permit, outcome, settlement.
_STORE_TRIPS_PER_CALL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The load of the clients, and the capacity of upstream and of the store."""

    writes_per_day: float
    #: Runs that are written at the same time.
    runs: int
    #: Calls a second that one upstream accepts (TPS). SageMaker: 25, 50 or 100 by the size of the tracking server.
    calls: float
    #: The most writes that one call carries; 1 for writes that MLflow has no batch for.
    writes_per_call: int = MAX_METRICS
    #: Writes a second that one upstream stores, however many a call carries.
    upstream_writes: float = 5_000
    #: The peak rate / the average rate.
    peak_factor: float = 3
    #: Size of a write's body.
    write_bytes: int = 116
    #: The outage of upstream that the store's memory must hold.
    outage_s: float = 3_600
    #: A round trip to the store, its sync to disk or to another zone included.
    store_trip_s: float = 0.002
    #: A call to upstream.
    call_s: float = 0.1
    #: BRIDGE_WORKER_CONCURRENCY.
    worker_concurrency: int = 8

    @property
    def average_writes(self) -> float:
        """Writes a second over the day."""
        return self.writes_per_day / DAY_S

    @property
    def peak_writes(self) -> float:
        """Writes a second at the peak."""
        return self.average_writes * self.peak_factor

    @property
    def max_merged_writes(self) -> int:
        """The most writes that one call carries, by the workload's bound and by MLflow's limits."""
        return max(1, min(self.writes_per_call, MAX_METRICS, MAX_BATCH_BYTES // self.write_bytes))

    @property
    def delivery_s(self) -> float:
        """The time for which one call occupies its run and a thread of a worker."""
        return self.call_s + _STORE_TRIPS_PER_CALL * self.store_trip_s

    def possible_calls(self, runs: float) -> float:
        """Return the calls a second that upstream permits to these runs, each of which has one call at a time."""
        return min(self.calls, runs / self.delivery_s)
