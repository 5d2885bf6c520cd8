# SPDX-License-Identifier: Apache-2.0
"""The overview of the bridge: its status, the causes why writes wait, and its figures, from one `Snapshot`.

The functions that yield or return a `Cause` are named by its code.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.operations import series
from bridge.operations.snapshot import Snapshot
from bridge.upstream.flow_control import Pause
from schemas.drain import Drain
from schemas.operations import (
    BacklogSummary,
    Cause,
    DeadLetterTotals,
    DrainProgress,
    Lag,
    Overview,
    Rates,
    Status,
    StoreSummary,
    WorkerTotals,
)

#: A lane that has been due for longer than this is not taken by any worker. The sweep needs a second.
_STALLED_AFTER = dt.timedelta(seconds=30)
#: The share of its limits from which the store counts as nearly full. Writes are still accepted.
_NEARLY_FULL_SHARE = 0.9
#: As many of two minutes are a cause: one bad write is no state of the bridge.
_MANY_DEAD_LETTERS, _MANY_REQUESTS = 10, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings with which the overview compares the state."""

    #: The configured rate; a lower one means that upstream throttles. None: no limit.
    calls_per_second: float | None
    #: Bytes.
    max_store: int
    max_write_age: dt.timedelta
    denial_grace: dt.timedelta


def overview(snapshot: Snapshot, limits: Limits) -> Overview:
    """Return the overview. It is equal for equal states, whenever they are read."""
    alive = snapshot.alive_workers
    why = tuple(_causes(snapshot, limits))
    return Overview(
        status=_status(snapshot, why),
        why=why,
        backlog=_backlog(snapshot, limits),
        dead_letters=DeadLetterTotals(count=snapshot.dead_letters, last_hour=snapshot.dead_letters_last_hour),
        rates=_rates(snapshot),
        lag=_lag(snapshot),
        gate=snapshot.flow_control.document(),
        workers=WorkerTotals(
            alive=len(alive),
            delivering=sum(worker.delivering or 0 for worker in alive),
            versions=tuple(sorted({worker.version for worker in alive if worker.version})),
        ),
        store=StoreSummary(
            durability=snapshot.durability.level,
            used=_used_bytes(snapshot),
            cap=limits.max_store,
            faults=tuple(snapshot.durability.faults),
        ),
        drains=tuple(_drain_progress(drain) for drain in snapshot.drains),
    )


def _status(snapshot: Snapshot, why: tuple[Cause, ...]) -> Status:
    codes = {cause.code for cause in why}
    if "store-durability" in codes:
        return "unavailable"
    if "paused" in codes:
        return "paused"
    if codes:
        return "degraded"
    return "delivering" if snapshot.lanes else "idle"


def _causes(snapshot: Snapshot, limits: Limits) -> Iterator[Cause]:
    """Yield the causes why writes are not accepted or delivered as they should be, the gravest first."""
    for fault in snapshot.durability.faults:
        yield Cause(
            code="store-durability",
            since=None,
            text=_sentence(f"The store is not used: {fault}"),
            next="No write is accepted until this is repaired.",
            runbook="#store-durability",
        )
    if pause := snapshot.flow_control.paused:
        yield _paused(pause)
    if not snapshot.alive_workers:
        yield _no_workers(snapshot)
    if snapshot.flow_control.breaker != "closed":
        yield _breaker_open(snapshot)
    elif snapshot.alive_workers and not pause:
        yield from _stalled(snapshot)
    # After an upstream that fails, which is then the reason why the store fills up.
    yield from _store_full(snapshot, limits)
    yield from _throttled(snapshot, limits)
    yield from _denied(snapshot, limits)
    yield from _no_room(snapshot)
    yield from _dead_letters(snapshot)


def _store_full(snapshot: Snapshot, limits: Limits) -> Iterator[Cause]:
    # Shares from 0 to 1.
    used, memory = _used_bytes(snapshot) / limits.max_store, snapshot.memory_fill or 0.0
    if used >= _NEARLY_FULL_SHARE:
        text = f"The store holds {used:.0%} of the {_size(limits.max_store)} that it may hold (BRIDGE_MAX_STORE)."
    elif memory >= _NEARLY_FULL_SHARE:
        text = f"The store has used {memory:.0%} of the memory beyond which no write is accepted (80 % of maxmemory)."
    else:
        return
    yield Cause(
        code="store-full",
        since=None,
        text=text,
        next="Clients receive 503 once it is full. Delivered writes make room.",
        runbook="#store-full",
    )


def _paused(pause: Pause) -> Cause:
    return Cause(
        code="paused",
        since=pause.since,
        text=_sentence(f"Deliveries are paused by {pause.by}: {pause.why}"),
        next=f"They go on by themselves at {_time_of_day(pause.until)}." if pause.until else "They wait to be resumed.",
        runbook="#paused",
    )


def _no_workers(snapshot: Snapshot) -> Cause:
    return Cause(
        code="no-workers",
        since=max((worker.reported_at for worker in snapshot.workers), default=None),
        text="No worker process has reported for ten seconds, so nothing is delivered.",
        next="Writes wait, and are delivered once a worker runs.",
        runbook="#no-workers",
    )


def _breaker_open(snapshot: Snapshot) -> Cause:
    state = snapshot.flow_control
    reason, probe_at = state.reason or "", state.opens_again_at
    if state.breaker == "open":
        next_step = f"The next call is tried at {_time_of_day(probe_at)}." if probe_at else None
    else:
        next_step = "One call is tried as soon as a write is due; if it succeeds, deliveries go on."
    return Cause(
        code="breaker-open",
        since=state.since,
        text=_breaker_text(reason),
        next=next_step,
        runbook=_breaker_runbook(reason),
    )


def _breaker_runbook(reason: str) -> str:
    if "credentials" in reason:
        return "#aws-rejects-the-bridges-credentials"
    return "#throttled" if reason.startswith("throttled") else "#breaker-open"


def _breaker_text(reason: str) -> str:
    """Return a sentence for the reason of a failed call, in the form of `bridge.upstream.responses`."""
    match reason.split():
        case ["throttled:", "status", status]:
            return f"Upstream throttles, answers {status} and asks for a pause."
        case ["status", "404", *_]:
            return "Upstream answers 404: there is no such MLflow, or it is stopped."
        case ["status", status, *_]:
            return f"Upstream answers {status}."
        case []:
            return "Upstream does not take calls."
        case _:
            return _sentence(reason)


def _stalled(snapshot: Snapshot) -> Iterator[Cause]:
    due, delivered = snapshot.oldest_due, snapshot.flow_control.delivered_at
    if due is None or snapshot.at - due < _STALLED_AFTER:
        return
    # With many lanes one may be due for long while workers are busy with others.
    _, running = snapshot.minutes
    if running.get(series.CALLS) or (delivered and snapshot.at - delivered < _STALLED_AFTER):
        return
    yield Cause(
        code="stalled",
        since=due,
        text=f"Writes have been due since {_time_of_day(due)}, and no worker sends a call.",
        next=None,
        runbook="#stalled",
    )


def _throttled(snapshot: Snapshot, limits: Limits) -> Iterator[Cause]:
    rate, configured = snapshot.flow_control.rate, limits.calls_per_second
    if rate is None or configured is None or rate >= configured:
        return
    yield Cause(
        code="throttled",
        since=None,
        text=f"Upstream throttles: calls go out at {_number(rate)}/s in place of {_number(configured)}/s.",
        next="The rate grows with each call that succeeds.",
        runbook="#throttled",
    )


def _denied(snapshot: Snapshot, limits: Limits) -> Iterator[Cause]:
    # A denied lane is tried again within a minute.
    if not snapshot.lanes or not _of_two_minutes(snapshot, series.DENIED):
        return
    minutes = limits.denial_grace.total_seconds() / 60
    yield Cause(
        code="denied",
        since=None,
        text="Upstream denies an action of some runs; others are delivered.",
        next=f"Their writes become dead letters {_number(minutes)} minutes after their acceptance.",
        runbook="#denied",
    )


def _no_room(snapshot: Snapshot) -> Iterator[Cause]:
    requests = _of_two_minutes(snapshot, series.WITHOUT_ROOM)
    if requests >= _MANY_REQUESTS:
        yield Cause(
            code="no-room",
            since=None,
            text=f"Within two minutes {requests:.0f} requests received 429: too much of a client or run was pending.",
            next="They are accepted again once deliveries make room.",
            runbook="#no-room",
        )


def _dead_letters(snapshot: Snapshot) -> Iterator[Cause]:
    letters = _of_two_minutes(snapshot, series.BURIED)
    if letters >= _MANY_DEAD_LETTERS:
        yield Cause(
            code="dead-letters",
            since=None,
            text=f"{letters:.0f} writes became dead letters within two minutes.",
            next="They stay until an operator replays or discards them.",
            runbook="#dead-letters",
        )


def _of_two_minutes(snapshot: Snapshot, name: str) -> float:
    """Return a count of the running minute and the one before."""
    return sum(minute.get(name, 0.0) for minute in snapshot.minutes)


def _backlog(snapshot: Snapshot, limits: Limits) -> BacklogSummary:
    oldest = snapshot.oldest_accepted_at
    return BacklogSummary(
        lanes=snapshot.lanes,
        writes=snapshot.writes,
        pending_bytes=snapshot.pending_bytes,
        dead_bytes=snapshot.dead_bytes,
        oldest_accepted_at=oldest,
        oldest_due=snapshot.oldest_due,
        horizon_at=oldest + limits.max_write_age if oldest else None,
    )


def _rates(snapshot: Snapshot) -> Rates:
    """Return the rates of the last 60 seconds: of the running minute, and of the same part of the one before.

    The counts of the minute before are taken to be spread evenly over it.
    """
    previous, running = snapshot.minutes

    def rate(name: str) -> float:
        count = previous.get(name, 0.0) * (1 - snapshot.minute_share) + running.get(name, 0.0)
        return round(count / series.MINUTE_S, 2)

    return Rates(
        window=series.MINUTE_S,
        accepted=rate(series.ACCEPTED),
        delivered=rate(series.DELIVERED),
        buried=rate(series.BURIED),
        refused=rate(series.REFUSED),
        calls=rate(series.CALLS),
    )


def _lag(snapshot: Snapshot) -> Lag:
    previous, running = snapshot.minutes
    weighted = ((previous, 1 - snapshot.minute_share), (running, 1.0))
    return Lag(p50=series.lag_quantile(weighted, 0.5), p95=series.lag_quantile(weighted, 0.95))


def _drain_progress(drain: Drain) -> DrainProgress:
    return DrainProgress(
        drain_id=drain.drain_id,
        action=drain.action,
        done=drain.done,
        total=drain.total,
        rate=drain.rate,
        ordered_by=drain.ordered_by,
    )


def _used_bytes(snapshot: Snapshot) -> int:
    return snapshot.pending_bytes + snapshot.dead_bytes


def _time_of_day(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%H:%M:%S} UTC"


def _number(value: float) -> str:
    """Return a number in three digits or all whole ones, such as ``17.5`` or ``1,000``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _size(count: int) -> str:
    """Return a number of bytes, such as ``2 GiB``."""
    power = min(3, max(0, (count.bit_length() - 1) // 10))
    return f"{count / 1024**power:.4g} {('B', 'KiB', 'MiB', 'GiB')[power]}"


def _sentence(text: str) -> str:
    """Return a reason as a sentence."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
