# SPDX-License-Identifier: Apache-2.0
"""Metrics for CloudWatch: one line a minute of an installation, in the format that CloudWatch takes."""

import datetime as dt
import json
from typing import Any

import jsonschema
import pytest

from bridge.errors import StoreUnavailable
from bridge.redis_store.minute_reports import RedisMinuteReports
from bridge.telemetry import metric_catalogue as catalogue
from bridge.telemetry.embedded_metrics import EmbeddedMetrics
from bridge.telemetry.metrics import CounterKey
from bridge.telemetry.prometheus import Gauges

START = dt.datetime(2026, 1, 1, 12, 0, 10, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
GAUGES: Gauges = {
    catalogue.STORE_UP: {(): 1.0},
    catalogue.WORKERS: {(): 2.0},
    catalogue.OLDEST_DUE_SECONDS: {(): 3.5},
    catalogue.BACKLOG_BYTES: {(): 10.0},
    catalogue.CALL_RATE: {(): float("inf")},
    catalogue.THREADS: {("sweep", "alive"): 1.0},
}
#: What the specification of the format asks of a line whose dimensions and metrics are at its root.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "maxItems": 30, "items": {"type": "string", "minLength": 1}},
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Seconds", "Bytes", "Count"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


class Process:
    """A process of the installation, with its own clock."""

    def __init__(self, client: Any, counters: dict[CounterKey, float] | None = None) -> None:
        self.now = START
        self.counters = counters if counters is not None else {}
        self.metrics = EmbeddedMetrics(
            "Team/Bridge",
            RedisMinuteReports(client),
            read_gauges=lambda: GAUGES,
            read_counters=lambda: self.counters,
            now=lambda: self.now,
        )


def _lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "metrics"]


def test_a_line_is_what_cloudwatch_takes(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    Process(client).metrics.tick()

    [line] = _lines(caplog)
    jsonschema.validate(line, SCHEMA)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"], line["service"]) == (
        "Team/Bridge",
        [["service"]],
        "mlflow-bridge",
    )
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {"store_up": "Count", "workers": "Count", "oldest_due_seconds": "Seconds", "backlog_bytes": "Bytes"}
    assert {name: line[name] for name in units} == {
        "store_up": 1.0,
        "workers": 2.0,
        "oldest_due_seconds": 3.5,
        "backlog_bytes": 10.0,
    }
    assert line["_aws"]["Timestamp"] == START.timestamp() * 1000
    json.dumps(line, allow_nan=False)


def test_one_process_writes_the_line_of_a_minute(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    processes = [Process(client), Process(client)]

    for second in range(0, 120, 5):
        for process in processes:
            process.now = START + dt.timedelta(seconds=second)
            process.metrics.tick()

    assert len(_lines(caplog)) == 3, "three minutes are touched"


def test_counters_are_written_as_their_increase_whoever_wrote_the_last_line(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    counters: dict[CounterKey, float] = {
        ("mlflow_bridge_writes_dead_lettered_total", "refused"): 2.0,
        ("mlflow_bridge_writes_dead_lettered_total", "denied"): 1.0,
        ("mlflow_bridge_requests_total", "queued", "200"): 9.0,
    }
    first, second = Process(client, counters), Process(client, counters)

    first.metrics.tick()
    counters["mlflow_bridge_writes_dead_lettered_total", "denied"] = 6.0
    second.now += MINUTE
    second.metrics.tick()

    earlier, later = _lines(caplog)
    assert "writes_dead_lettered" not in earlier, "what happened before is no increase of this minute"
    assert (later["writes_dead_lettered"], later["writes_accepted"], "requests" in later) == (5.0, 0.0, False)


def test_each_process_reports_a_store_that_does_not_respond(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def set(self, *_: Any, **__: Any) -> None:
            raise StoreUnavailable("away")

    process = Process(Away())
    process.metrics.tick()
    process.metrics.tick()

    [line] = _lines(caplog)
    jsonschema.validate(line, SCHEMA)
    assert (line["store_up"], "workers" in line) == (0.0, False)
