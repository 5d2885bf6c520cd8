# SPDX-License-Identifier: Apache-2.0
"""Metrics: what each event counts, what several processes come to together, and how Prometheus reads it."""

import datetime as dt
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import events
from bridge.errors import StoreUnavailable
from bridge.process.background import ThreadCounts
from bridge.telemetry.metric_catalogue import CATALOGUE, Kind
from bridge.telemetry.metrics import CounterKey, Meter
from bridge.telemetry.prometheus import expose
from tests.unit.test_logs import EVENTS, SAMPLES

SECOND = dt.timedelta(seconds=1)
REQUEST = events.RequestCompleted(
    at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    client="c",
    address="127.0.0.1",
    method="POST",
    path="/p",
    route="queued",
    action=None,
    decision="allowed",
    status=200,
    duration=SECOND / 100,
    complete=True,
    lane="r",
    writes=1,
    replayed=False,
    job_id="j",
    request_id="q",
    upstream_request_id=None,
)
ANSWERED_CALL = events.UpstreamCallCompleted(
    lane="r", request_id="q", attempt=2, outcome="", status=None, duration=SECOND
)
DELIVERED = events.WritesDelivered(
    lane="r",
    first=1,
    writes=7,
    job_id="j",
    request_id="q",
    attempt=2,
    duration=SECOND,
    lag=SECOND * 3,
    upstream_request_id=None,
)


class FakeTotals:
    """Totals in memory, that can be away."""

    def __init__(self) -> None:
        self.counters: defaultdict[CounterKey, float] = defaultdict(float)
        self.away = False
        self.reports: dict[str, ThreadCounts] = {}

    def add(self, counts: Mapping[CounterKey, float]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        for count, number in counts.items():
            self.counters[count] += number

    def read(self) -> dict[CounterKey, float]:
        return dict(self.counters)

    def report(self, process: str, threads: ThreadCounts) -> None:
        self.reports[process] = threads

    def threads(self) -> ThreadCounts:
        return sum(map(Counter, self.reports.values()), Counter[tuple[str, str]]())


def counted(*told: events.Event) -> dict[str, float]:
    """What Prometheus reads after these events, by sample."""
    counters = FakeTotals()
    meter = Meter(counters)
    for event in told:
        meter(event)
    meter.flush()
    return samples(counters)


def samples(counters: FakeTotals) -> dict[str, float]:
    text, content_type = expose(counters.read(), {}, accept="")
    assert content_type.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}".removeprefix("mlflow_bridge_").removesuffix("{}")] = sample.value
    return found


def test_a_request_is_counted_with_how_long_it_took() -> None:
    found = counted(REQUEST, REQUEST, msgspec.structs.replace(REQUEST, duration=SECOND * 500))

    assert found["requests_total{route=queued,status=200}"] == 3
    assert found["writes_accepted_total"] == 3
    assert found["request_duration_seconds_bucket{le=0.005,route=queued}"] == 0
    assert found["request_duration_seconds_bucket{le=0.01,route=queued}"] == 2
    assert found["request_duration_seconds_bucket{le=120,route=queued}"] == 2
    assert found["request_duration_seconds_bucket{le=+Inf,route=queued}"] == 3
    assert found["request_duration_seconds_count{route=queued}"] == 3
    assert found["request_duration_seconds_sum{route=queued}"] == pytest.approx(500.02)


def test_repeats_refusals_and_denials_are_told_apart() -> None:
    found = counted(
        msgspec.structs.replace(REQUEST, replayed=True),
        msgspec.structs.replace(REQUEST, status=429, writes=0),
        msgspec.structs.replace(REQUEST, status=429, writes=0, decision="rate_limited"),
        msgspec.structs.replace(REQUEST, status=401, writes=0, decision="unauthenticated", route="rejected"),
    )

    assert found["writes_replayed_total"] == 1
    assert found["writes_accepted_total"] == 0
    assert found["writes_refused_total{status=429}"] == 2
    assert found["writes_without_room_total"] == 1
    assert found["requests_rejected_total{decision=unauthenticated}"] == 1
    assert "writes_refused_total{status=401}" not in found


def test_a_delivery_is_counted_with_its_size_lag_and_attempts() -> None:
    found = counted(DELIVERED)

    assert found["writes_delivered_total"] == 7
    assert (found["upstream_batch_size_bucket{le=5}"], found["upstream_batch_size_bucket{le=10}"]) == (0, 1)
    assert (found["delivery_lag_seconds_bucket{le=2.5}"], found["delivery_lag_seconds_bucket{le=5}"]) == (0, 1)
    assert (found["delivery_attempts_bucket{le=1}"], found["delivery_attempts_bucket{le=2}"]) == (0, 1)


def test_a_call_is_counted_by_what_it_came_to() -> None:
    found = counted(
        msgspec.structs.replace(ANSWERED_CALL, outcome="delivered", status=200, duration=SECOND),
        msgspec.structs.replace(ANSWERED_CALL, outcome="unknown", status=None, duration=SECOND * 20),
    )

    assert found["upstream_calls_total{outcome=delivered,status=200}"] == 1
    assert found["upstream_calls_total{outcome=unknown,status=}"] == 1
    assert found["upstream_call_duration_seconds_sum{outcome=unknown}"] == 20


def test_processes_count_together() -> None:
    counters = FakeTotals()
    for _ in range(3):
        meter = Meter(counters)
        meter(DELIVERED)
        meter.flush()
        meter.flush()

    assert samples(counters)["writes_delivered_total"] == 21


def test_what_the_store_does_not_take_is_kept_for_the_next_time() -> None:
    counters = FakeTotals()
    meter = Meter(counters)
    meter(DELIVERED)
    counters.away = True
    meter.flush()
    meter(DELIVERED)
    counters.away = False
    meter.flush()

    assert samples(counters)["writes_delivered_total"] == 14


def test_every_counter_and_histogram_is_counted_by_some_event() -> None:
    counters = FakeTotals()
    meter = Meter(counters)
    for kind in EVENTS:
        fields = {field.name: SAMPLES[field.type] for field in msgspec.structs.fields(kind)}
        for changes in ({}, {"replayed": False}, {"route": "queued", "status": 429, "decision": "allowed"}):
            meter(kind(**(fields | {name: value for name, value in changes.items() if name in fields})))
    meter.flush()

    named = {metric.name: metric for metric in CATALOGUE if metric.kind is not Kind.GAUGE}
    assert set(named) - {name for name, *_ in counters.counters} == set()
    for name, *rest in counters.counters:
        assert len(rest) == len(named[name].labels) + (named[name].kind is Kind.HISTOGRAM)


def test_who_asks_for_openmetrics_gets_it() -> None:
    text, content_type = expose({}, {}, accept="application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


class SlowTotals(FakeTotals):
    """Totals that take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def add(self, counts: Mapping[CounterKey, float]) -> None:
        self.asked.set()
        assert self.go_on.wait(30)
        super().add(counts)


def test_who_flushes_at_the_end_waits_for_what_is_on_its_way() -> None:
    counters = SlowTotals()
    meter = Meter(counters)
    meter(REQUEST)
    assert counters.asked.wait(30), "counts are added each second"

    ending = threading.Thread(target=meter.flush)
    ending.start()
    ending.join(0.2)
    waits = ending.is_alive()
    counters.go_on.set()
    ending.join(30)

    assert waits
    assert samples(counters)["writes_accepted_total"] == 1
