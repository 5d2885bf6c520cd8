# SPDX-License-Identifier: Apache-2.0
"""What is looked up when somebody asks for the metrics: how the store and the way to upstream stand."""

import datetime as dt
from collections.abc import Mapping

from bridge.errors import StoreUnavailable
from bridge.gate import Gate
from bridge.outbox import Outbox
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import Metric
from bridge.totals import Totals

#: Of each gauge the values, by its labels' values.
Gauges = Mapping[Metric, Mapping[tuple[str, ...], float]]

_STATES = ("closed", "open", "half-open")


def read_gauges(outbox: Outbox, gate: Gate, totals: Totals, *, now: dt.datetime) -> Gauges:
    """Return every gauge, or that the store does not answer."""
    try:
        backlog, workers, state, durability = outbox.backlog(), outbox.workers(), gate.state(), outbox.durability()
        threads = totals.threads()
    except StoreUnavailable:
        return {catalogue.STORE_UP: {(): 0.0}}
    found = {
        catalogue.STORE_UP: 1.0,
        catalogue.STORE_FAULTS: float(len(durability.faults)),
        catalogue.BACKLOG_LANES: float(backlog.lanes),
        catalogue.BACKLOG_BYTES: float(backlog.bytes),
        catalogue.DEAD_LETTERS: float(backlog.dead_letters),
        catalogue.OLDEST_DUE_SECONDS: _age(backlog.oldest_due, now),
        catalogue.OLDEST_PENDING_SECONDS: _age(backlog.oldest_accepted_at, now),
        catalogue.LAST_DELIVERY: state.delivered_at.timestamp() if state.delivered_at else 0.0,
        catalogue.WORKERS: float(workers),
        catalogue.CALL_RATE: float("inf") if state.rate is None else state.rate,
        catalogue.BUCKET: float("inf") if state.bucket is None else state.bucket,
    }
    gauges: dict[Metric, Mapping[tuple[str, ...], float]] = {metric: {(): value} for metric, value in found.items()}
    gauges[catalogue.BREAKER] = {(name,): float(name == state.breaker) for name in _STATES}
    # Of each thread both states, so that an alarm about the dead ones has something to look at.
    gauges[catalogue.THREADS] = {
        (name, state): float(threads.get((name, state), 0)) for name, _ in threads for state in ("alive", "dead")
    }
    return gauges


def _age(since: dt.datetime | None, now: dt.datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
