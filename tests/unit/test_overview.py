# SPDX-License-Identifier: Apache-2.0
"""The overview says in sentences why writes wait, since when, and what comes next."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bridge.operations.overview import Limits, overview
from bridge.operations.series import lag_quantile, minute_counts
from bridge.operations.snapshot import Snapshot
from bridge.outbox import Durability
from bridge.telemetry import metric_catalogue as catalogue
from bridge.upstream.flow_control import FlowControlState, Pause
from schemas.operations import Cause, WorkerDocument

NOW = dt.datetime(2026, 11, 28, 14, 2, 11, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
LIMITS = Limits(
    calls_per_second=25,
    max_store=1000,
    max_write_age=dt.timedelta(hours=72),
    denial_grace=dt.timedelta(minutes=15),
)
CLOSED = FlowControlState(breaker="closed", reason=None, opens_again_at=None, rate=25.0, bucket=50.0, burst=50)
OPEN = dataclasses.replace(
    CLOSED,
    breaker="open",
    reason="status 503 with a body that is not from MLflow",
    since=NOW - 60 * SECOND,
    opens_again_at=NOW + 29 * SECOND,
)
WORKER = WorkerDocument(
    name="a:1",
    host="a",
    pid=1,
    version="0.2.0",
    started_at=NOW,
    reported_at=NOW - SECOND,
    concurrency=8,
    delivering=3,
    last_error=None,
)
GONE = WorkerDocument(
    name="b:1",
    host="b",
    pid=1,
    version="0.1.0",
    started_at=NOW,
    reported_at=NOW - 60 * SECOND,
    concurrency=8,
    delivering=8,
    last_error=None,
)
IDLE = Snapshot(
    at=NOW,
    lanes=0,
    writes=0,
    pending_bytes=0,
    dead_bytes=0,
    oldest_accepted_at=None,
    oldest_due=None,
    dead_letters=0,
    dead_letters_last_hour=0,
    flow_control=CLOSED,
    workers=(WORKER, GONE),
    durability=Durability(level="fsync-always"),
    drains=(),
    minutes=({}, {}),
    minute_share=0.5,
)
BUSY = dataclasses.replace(IDLE, lanes=2, writes=30, pending_bytes=100, oldest_accepted_at=NOW - SECOND)


def after(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return dataclasses.replace(snapshot, **changes)


def causes(snapshot: Snapshot) -> tuple[Cause, ...]:
    return overview(snapshot, LIMITS).why


def test_an_idle_bridge_is_idle_and_one_that_delivers_is_delivering() -> None:
    idle, busy = overview(IDLE, LIMITS), overview(BUSY, LIMITS)

    assert (idle.status, idle.why, busy.status, busy.why) == ("idle", (), "delivering", ())
    assert busy.backlog.horizon_at == NOW - SECOND + dt.timedelta(hours=72)
    assert (busy.workers.alive, busy.workers.delivering, busy.workers.versions) == (1, 3, ("0.2.0",))
    assert (busy.store.used, busy.store.cap, busy.gate.burst) == (100, 1000, 50)


def test_nothing_in_an_idle_overview_grows_older() -> None:
    later = after(IDLE, at=NOW + 30 * SECOND, minute_share=0.9, workers=(after_report(30),))

    assert overview(later, LIMITS) == overview(IDLE, LIMITS)


def after_report(seconds: int) -> WorkerDocument:
    fields = {name: getattr(WORKER, name) for name in WORKER.__struct_fields__}
    return WorkerDocument(**fields | {"reported_at": NOW + seconds * SECOND})


def test_an_open_breaker_is_said_with_why_since_when_and_what_comes_next() -> None:
    (cause,) = causes(after(BUSY, flow_control=OPEN))

    assert (cause.code, cause.since, cause.text) == ("breaker-open", NOW - 60 * SECOND, "Upstream answers 503.")
    assert cause.next == "The next call is tried at 14:02:40 UTC."
    assert cause.runbook == "#breaker-open"
    assert overview(after(IDLE, flow_control=OPEN), LIMITS).status == "degraded"


@pytest.mark.parametrize(
    ("reason", "text", "runbook"),
    [
        ("throttled: status 429", "Upstream throttles, answers 429 and asks for a pause.", "#throttled"),
        (
            "no connection to upstream: ConnectionRefusedError",
            "No connection to upstream: ConnectionRefusedError.",
            "#breaker-open",
        ),
        (
            "AWS refuses the bridge's credentials: ExpiredToken",
            "AWS refuses the bridge's credentials: ExpiredToken.",
            "#aws-rejects-the-bridges-credentials",
        ),
        (
            "status 404 with a body that is not from MLflow",
            "Upstream answers 404: there is no such MLflow, or it is stopped.",
            "#breaker-open",
        ),
        ("status 502 with INTERNAL_ERROR", "Upstream answers 502.", "#breaker-open"),
        ("", "Upstream does not take calls.", "#breaker-open"),
    ],
)
def test_the_reason_of_the_breaker_is_a_sentence(reason: str, text: str, runbook: str) -> None:
    half_open = dataclasses.replace(OPEN, breaker="half-open", reason=reason)

    (cause,) = causes(after(BUSY, flow_control=half_open))

    assert (cause.text, cause.runbook) == (text, runbook)
    assert cause.next == "One call is tried as soon as a write is due; if it succeeds, deliveries go on."


def test_without_workers_nothing_is_delivered() -> None:
    (cause,) = causes(after(BUSY, workers=(GONE,), oldest_due=NOW - 90 * SECOND))
    (never,) = causes(after(BUSY, workers=()))

    assert (cause.code, cause.since, never.since) == ("no-workers", GONE.reported_at, None)
    assert cause.text == "No worker process has reported for ten seconds, so nothing is delivered."


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {"oldest_due": NOW - 31 * SECOND},
            "stalled",
            "Writes have been due since 14:01:40 UTC, and no worker sends a call.",
        ),
        (
            {"flow_control": dataclasses.replace(CLOSED, rate=17.5)},
            "throttled",
            "Upstream throttles: calls go out at 17.5/s in place of 25/s.",
        ),
        (
            {"minutes": ({"lanes_denied": 1.0}, {})},
            "denied",
            "Upstream denies an action of some runs; others are delivered.",
        ),
        (
            {"pending_bytes": 950},
            "store-full",
            "The store holds 95% of the 1000 B that it may hold (BRIDGE_MAX_STORE).",
        ),
        (
            {"memory_fill": 0.93},
            "store-full",
            "The store has used 93% of the memory beyond which no write is accepted (80 % of maxmemory).",
        ),
    ],
)
def test_what_else_delays_writes_is_said(changes: dict[str, Any], code: str, text: str) -> None:
    document = overview(after(BUSY, **changes), LIMITS)

    assert (document.status, [(cause.code, cause.text) for cause in document.why]) == ("degraded", [(code, text)])


@pytest.mark.parametrize(
    "changes",
    [
        {"minutes": ({}, {"upstream_calls": 1.0})},
        {"flow_control": dataclasses.replace(CLOSED, delivered_at=NOW - SECOND)},
        {"oldest_due": NOW - 5 * SECOND},
    ],
)
def test_a_long_queue_that_is_being_delivered_has_not_stalled(changes: dict[str, Any]) -> None:
    assert causes(after(BUSY, **{"oldest_due": NOW - 90 * SECOND} | changes)) == ()


def test_a_store_that_may_lose_writes_makes_the_bridge_unavailable() -> None:
    fault = "appendonly is off, so a restart of the store loses pending writes: set it to yes"
    document = overview(after(BUSY, durability=Durability(level="none", faults=(fault,))), LIMITS)

    assert (document.status, document.store.faults) == ("unavailable", (fault,))
    assert document.why[0].text == f"The store is not used: {fault}."


def test_a_pause_is_said_with_its_reason_and_its_end() -> None:
    pause = Pause(why="maintenance", until=NOW + 60 * SECOND, by="anna", since=NOW)
    paused = dataclasses.replace(CLOSED, paused=pause)

    document = overview(after(BUSY, flow_control=paused, oldest_due=NOW - 90 * SECOND), LIMITS)

    (cause,) = document.why
    assert (document.status, cause.code, cause.since) == ("paused", "paused", NOW)
    assert (cause.text, cause.next) == (
        "Deliveries are paused by anna: maintenance.",
        "They go on by themselves at 14:03:11 UTC.",
    )
    assert document.gate.paused
    assert document.gate.paused.by == "anna"


def test_each_cause_leads_to_a_section_of_the_runbook() -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "runbook.md").read_text()
    heads = [line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")]
    anchors = {"#" + "".join(c for c in head.replace(" ", "-") if c.isalnum() or c == "-") for head in heads}
    source = (Path(__file__).parents[2] / "bridge" / "operations" / "overview.py").read_text()
    named = {part.split('"')[0] for part in source.split('"#')[1:]}

    assert len(named) > 5
    assert {f"#{each}" for each in named} <= anchors


def test_rates_are_those_of_the_last_sixty_seconds() -> None:
    minutes = ({"writes_accepted": 120.0, "upstream_calls": 60.0}, {"writes_accepted": 30.0})

    rates = overview(after(BUSY, minutes=minutes, minute_share=0.75), LIMITS).rates

    assert (rates.window, rates.accepted, rates.calls, rates.delivered) == (60, 1.0, 0.25, 0.0)


def test_quantiles_are_estimated_within_their_bucket() -> None:
    # Bucket 2 is up to 0.25 s, bucket 3 up to 0.5 s.
    minute = {"delivery_lag_seconds\n2": 50.0, "delivery_lag_seconds\n3": 50.0}

    assert lag_quantile([(minute, 1)], 0.5) == 0.25
    assert lag_quantile([(minute, 1)], 0.95) == 0.475
    assert lag_quantile([({}, 1)], 0.5) is None
    assert lag_quantile([({"delivery_lag_seconds\n14": 1.0}, 1)], 0.5) == catalogue.DELIVERY_LAG_SECONDS.bounds[-1]


def test_a_minute_holds_the_sum_over_all_labels() -> None:
    counts = {
        (catalogue.UPSTREAM_CALLS.name, "delivered", "200"): 2.0,
        (catalogue.UPSTREAM_CALLS.name, "unavailable", ""): 1.0,
        (catalogue.DELIVERY_LAG_SECONDS.name, "3"): 1.0,
        (catalogue.DELIVERY_LAG_SECONDS.name, "sum"): 0.4,
        (catalogue.REQUEST_DURATION_SECONDS.name, "own", "3"): 1.0,
    }

    assert minute_counts(counts) == {"upstream_calls": 3.0, "delivery_lag_seconds\n3": 1.0}


def test_many_dead_letters_are_a_cause_and_few_are_none() -> None:
    few = after(IDLE, minutes=({"writes_dead_lettered": 5.0}, {"writes_dead_lettered": 4.0}))
    many = after(IDLE, minutes=({"writes_dead_lettered": 5.0}, {"writes_dead_lettered": 5.0}))

    (cause,) = causes(many)

    assert causes(few) == ()
    assert (cause.code, cause.text) == ("dead-letters", "10 writes became dead letters within two minutes.")
    assert overview(many, LIMITS).status == "degraded"


def test_requests_that_found_no_room_are_a_cause() -> None:
    (cause,) = causes(after(IDLE, minutes=({"writes_without_room": 3.0}, {"writes_without_room": 7.0})))

    assert cause.code == "no-room"
    assert cause.text == "Within two minutes 10 requests received 429: too much of a client or run was pending."


def test_a_grace_of_a_day_is_said_in_digits() -> None:
    limits = dataclasses.replace(LIMITS, denial_grace=dt.timedelta(days=1))

    (cause,) = overview(after(BUSY, minutes=({"lanes_denied": 1.0}, {})), limits).why

    assert cause.next == "Their writes become dead letters 1,440 minutes after their acceptance."


def test_a_high_rate_is_said_in_digits() -> None:
    throttled = dataclasses.replace(CLOSED, rate=342.6)

    (cause,) = overview(after(BUSY, flow_control=throttled), dataclasses.replace(LIMITS, calls_per_second=1000)).why

    assert cause.text == "Upstream throttles: calls go out at 343/s in place of 1,000/s."


def test_the_limit_of_the_store_is_said_in_its_unit() -> None:
    limits = dataclasses.replace(LIMITS, max_store=400 * 1024)

    (cause,) = overview(after(BUSY, pending_bytes=380 * 1024), limits).why

    assert cause.text == "The store holds 95% of the 400 KiB that it may hold (BRIDGE_MAX_STORE)."
