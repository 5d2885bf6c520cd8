# SPDX-License-Identifier: Apache-2.0
"""The catalogue of all metrics. `docs/reference/metrics.md` repeats it and adds the alerts."""

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric. Counters and histograms are summed over all processes; gauges are read at each scrape."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    #: Values of its only label that are exposed as 0 from the start.
    known: tuple[str, ...] = ()
    #: Upper bounds of a histogram's buckets, without the last (+Inf).
    bounds: tuple[float, ...] = ()


_PREFIX = "mlflow_bridge_"
_DURATION_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0)
_LAG_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 259200.0)
_BATCH_SIZE_BOUNDS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


def _counter(name: str, about: str, *labels: str, known: tuple[str, ...] = ()) -> Metric:
    return Metric(name=f"{_PREFIX}{name}_total", kind=Kind.COUNTER, about=about, labels=labels, known=known)


def _gauge(name: str, about: str, *labels: str) -> Metric:
    return Metric(name=f"{_PREFIX}{name}", kind=Kind.GAUGE, about=about, labels=labels)


def _histogram(name: str, bounds: tuple[float, ...], about: str, *labels: str) -> Metric:
    return Metric(name=f"{_PREFIX}{name}", kind=Kind.HISTOGRAM, about=about, labels=labels, bounds=bounds)


_DEAD_LETTER_REASONS = ("refused", "expired", "poison", "denied")

REQUESTS = _counter("requests", "Completed requests by route and status.", "route", "status")
REQUEST_DURATION_SECONDS = _histogram(
    "request_duration_seconds",
    _DURATION_BOUNDS_S,
    "Duration from the head of a request to the end of its response; for `queued`, until the write is accepted.",
    "route",
)
REQUESTS_REJECTED = _counter(
    "requests_rejected",
    "Requests without valid credentials, without the permission, or over a rate limit.",
    "decision",
)
READS_CACHED = _counter(
    "reads_cached",
    "Reads without a call to upstream of their own: `static` files of the UI, answers `shared` by identical reads.",
    "cache",
    known=("static", "shared"),
)
SIGN_INS = _counter("sign_ins", "Sign-ins of browsers, by result: `ok`, or why not.", "via", "result")
SIGN_OUTS = _counter("sign_outs", "Browser sessions that were ended before their time.", "via")
WRITES_ACCEPTED = _counter("writes_accepted", "Accepted writes.")
WRITES_REPLAYED = _counter("writes_replayed", "Repeats of an idempotency key that returned the first job.")
WRITES_REFUSED = _counter(
    "writes_refused",
    "Rejected requests with writes, by status: 4xx are caused by the client, 503 by the bridge.",
    "status",
    known=("400", "429", "503"),
)
WRITES_WITHOUT_ROOM = _counter(
    "writes_without_room", "Rejected requests with writes, because too much of their run or client was pending (429)."
)
WRITES_DELIVERED = _counter("writes_delivered", "Writes that upstream has executed.")
WRITES_DEAD_LETTERED = _counter(
    "writes_dead_lettered", "Writes that became dead letters.", "reason", known=_DEAD_LETTER_REASONS
)
UPSTREAM_BATCH_SIZE = _histogram("upstream_batch_size", _BATCH_SIZE_BOUNDS, "Writes per delivered call.")
DELIVERY_LAG_SECONDS = _histogram(
    "delivery_lag_seconds", _LAG_BOUNDS_S, "Time from the acceptance of the oldest write of a call to its delivery."
)
DELIVERY_ATTEMPTS = _histogram("delivery_attempts", (1.0, 2.0, 3.0, 5.0, 10.0, 25.0), "Attempts per delivered call.")
UPSTREAM_CALLS = _counter("upstream_calls", "Calls of workers to upstream, by outcome and status.", "outcome", "status")
UPSTREAM_CALL_DURATION_SECONDS = _histogram(
    "upstream_call_duration_seconds", _DURATION_BOUNDS_S, "Duration of the calls of workers to upstream.", "outcome"
)
BATCHES_REFUSED = _counter(
    "batches_refused", "Calls with several writes that upstream refused or denied; they are bisected."
)
LANES_DEFERRED = _counter("lanes_deferred", "Lanes deferred after a failed attempt.", "outcome")
LANES_DENIED = _counter("lanes_denied", "Lanes deferred because upstream denies an action.", "action")
LANES_REDISPATCHED = _counter(
    "lanes_redispatched", "Lanes dispatched by the sweep, after a lost hint or an elapsed backoff."
)
DISPATCH_FAILURES = _counter(
    "dispatch_failures", "Hints that could not be published; the sweep dispatches their lanes."
)
LEASES_LOST = _counter("leases_lost", "Claims that a worker lost to another worker.")
STORE_FAILURES = _counter("store_failures", "Failed store operations of workers.", "operation")
DELIVERY_ERRORS = _counter("delivery_errors", "Deliveries that ended in an internal error.")
DEAD_LETTERS_DRAINED = _counter("dead_letters_drained", "Replayed or discarded dead letters.", "action")
DEAD_LETTERS_EXPIRED = _counter("dead_letters_expired", "Dead letters discarded after their retention.")
THREADS_STARTED = _counter("threads_started", "Started background threads.", "thread")
THREAD_FAILURES = _counter("thread_failures", "Unexpected errors in background threads, which continue.", "thread")

STORE_UP = _gauge("store_up", "1 if the store responds, else 0; the other store gauges are then absent.")
STORE_DURABILITY_PROBLEMS = _gauge(
    "store_durability_problems", "Settings of the store that can lose accepted writes; must be 0."
)
BACKLOG_LANES = _gauge("backlog_lanes", "Lanes with pending writes.")
BACKLOG_BYTES = _gauge("backlog_bytes", "Bytes of pending writes and dead letters.")
DEAD_LETTERS = _gauge("dead_letters", "Dead letters that are neither replayed nor discarded.")
OLDEST_DUE_SECONDS = _gauge(
    "oldest_due_seconds", "Time since the oldest unclaimed lane became due; 0 while deliveries are paused."
)
OLDEST_PENDING_SECONDS = _gauge("oldest_pending_seconds", "Age of the oldest pending write.")
DELIVERIES_PAUSED = _gauge("deliveries_paused", "1 while an operator has paused deliveries, else 0.")
LAST_DELIVERY = _gauge(
    "last_delivery_timestamp_seconds", "Time of the last successful write call; 0 if there was none."
)
WORKERS = _gauge("workers", "Worker processes that have reported within the last ten seconds.")
THREADS = _gauge(
    "threads", "Background threads of running processes by state; none should be `dead`.", "thread", "state"
)
CIRCUIT_BREAKER_STATE = _gauge(
    "circuit_breaker_state", "1 for the present state of the circuit breaker for upstream, 0 for the others.", "state"
)
CALL_RATE = _gauge("upstream_call_rate", "Present limit on calls to upstream a second; +Inf if there is none.")
UPSTREAM_RATE_LIMIT_TOKENS = _gauge(
    "upstream_rate_limit_tokens", "Calls that may be sent at once; negative if calls wait for their place."
)

CATALOGUE: tuple[Metric, ...] = tuple(each for each in globals().copy().values() if isinstance(each, Metric))
