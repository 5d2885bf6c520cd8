# SPDX-License-Identifier: Apache-2.0
"""Every metric there is. `docs/reference/metrics.md` lists the same, with the alarms."""

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric: counted by each process and summed up, or, as a gauge, looked up when it is asked for."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    #: Values of its one label that are told from the beginning, at 0.
    known: tuple[str, ...] = ()
    #: Upper bounds of a histogram's buckets, but for the last, which has none.
    bounds: tuple[float, ...] = ()


_PREFIX = "mlflow_bridge_"
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0)
_LAG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 259200.0)
_SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


def _counter(name: str, about: str, *labels: str, known: tuple[str, ...] = ()) -> Metric:
    return Metric(name=f"{_PREFIX}{name}_total", kind=Kind.COUNTER, about=about, labels=labels, known=known)


def _gauge(name: str, about: str, *labels: str) -> Metric:
    return Metric(name=f"{_PREFIX}{name}", kind=Kind.GAUGE, about=about, labels=labels)


def _histogram(name: str, bounds: tuple[float, ...], about: str, *labels: str) -> Metric:
    return Metric(name=f"{_PREFIX}{name}", kind=Kind.HISTOGRAM, about=about, labels=labels, bounds=bounds)


_REASONS = ("refused", "expired", "poison", "denied")

REQUESTS = _counter("requests", "Requests that were answered, by route and status.", "route", "status")
REQUEST_DURATION_SECONDS = _histogram(
    "request_duration_seconds",
    _FAST,
    "Time from the head of a request to the end of its response; `queued` is acceptance.",
    "route",
)
REQUESTS_REJECTED = _counter(
    "requests_rejected",
    "Requests without valid credentials, without permission, or over a quota.",
    "decision",
)
WRITES_ACCEPTED = _counter("writes_accepted", "Writes that were accepted.")
WRITES_REPLAYED = _counter("writes_replayed", "Repeated requests that received their first job.")
WRITES_REFUSED = _counter(
    "writes_refused",
    "Requests with writes that were not accepted: 4xx are the client's errors, 503 the bridge's.",
    "status",
    known=("400", "429", "503"),
)
WRITES_DELIVERED = _counter("writes_delivered", "Writes that upstream has accepted.")
WRITES_DEAD_LETTERED = _counter("writes_dead_lettered", "Writes that became dead letters.", "reason", known=_REASONS)
UPSTREAM_BATCH_SIZE = _histogram("upstream_batch_size", _SIZES, "Writes per delivered call.")
DELIVERY_LAG_SECONDS = _histogram(
    "delivery_lag_seconds", _LAG, "Time from the acceptance of a call's oldest write to its delivery."
)
DELIVERY_ATTEMPTS = _histogram("delivery_attempts", (1.0, 2.0, 3.0, 5.0, 10.0, 25.0), "Attempts per delivered call.")
UPSTREAM_CALLS = _counter("upstream_calls", "Calls of workers to upstream, by outcome and status.", "outcome", "status")
UPSTREAM_CALL_DURATION_SECONDS = _histogram(
    "upstream_call_duration_seconds", _FAST, "Duration of a worker's call to upstream.", "outcome"
)
BATCHES_REFUSED = _counter("batches_refused", "Calls with several writes that upstream refused, to be split.")
LANES_DEFERRED = _counter("lanes_deferred", "Times that a lane was deferred after a failed attempt.", "outcome")
LANES_DENIED = _counter("lanes_denied", "Times that a lane was deferred because upstream denies an action.", "action")
LANES_REDISPATCHED = _counter(
    "lanes_redispatched", "Lanes that the sweep dispatched: their dispatch was lost, or their wait was over."
)
DISPATCH_FAILURES = _counter("dispatch_failures", "Dispatches that could not be published; the sweep replaces them.")
LEASES_LOST = _counter("leases_lost", "Times that a worker's lease had passed to another worker.")
STORE_FAILURES = _counter("store_failures", "Times that a worker could not use the store.", "operation")
DELIVERY_ERRORS = _counter("delivery_errors", "Deliveries that ended with an unexpected error in the bridge.")
DEAD_LETTERS_DRAINED = _counter("dead_letters_drained", "Dead letters that were replayed or discarded.", "action")
DEAD_LETTERS_EXPIRED = _counter("dead_letters_expired", "Dead letters that were discarded because of their age.")
THREADS_STARTED = _counter("threads_started", "Background threads that processes have started.", "thread")
THREAD_FAILURES = _counter("thread_failures", "Unexpected errors in background threads, which continue.", "thread")

STORE_UP = _gauge("store_up", "1 if the store responds, else 0; the other store gauges are then absent.")
STORE_DURABILITY_PROBLEMS = _gauge(
    "store_durability_problems", "Problems of the store's configuration that can lose accepted writes; must be 0."
)
BACKLOG_LANES = _gauge("backlog_lanes", "Lanes with pending writes.")
BACKLOG_BYTES = _gauge("backlog_bytes", "Bytes of pending writes and of dead letters.")
DEAD_LETTERS = _gauge("dead_letters", "Dead letters that are neither replayed nor discarded.")
OLDEST_DUE_SECONDS = _gauge("oldest_due_seconds", "How long the longest-due lane has been due without a claim.")
OLDEST_PENDING_SECONDS = _gauge("oldest_pending_seconds", "Age of the oldest pending write.")
LAST_DELIVERY = _gauge("last_delivery_timestamp_seconds", "Time of the last successful call of a worker; 0 for never.")
WORKERS = _gauge("workers", "Worker processes that have reported within ten seconds.")
THREADS = _gauge("threads", "Background threads of running processes; none should be `dead`.", "thread", "state")
CIRCUIT_BREAKER_STATE = _gauge(
    "circuit_breaker_state", "1 for the current state of the circuit breaker before upstream.", "state"
)
CALL_RATE = _gauge("upstream_call_rate", "Calls a second that workers may make now; +Inf if they are not limited.")
UPSTREAM_RATE_LIMIT_TOKENS = _gauge(
    "upstream_rate_limit_tokens", "Calls that may be made at once; negative if some wait for their turn."
)

CATALOGUE: tuple[Metric, ...] = tuple(each for each in globals().copy().values() if isinstance(each, Metric))
