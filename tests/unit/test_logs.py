# SPDX-License-Identifier: Apache-2.0
"""Logs: one line an event, in a constant spelling, with fields and without bodies."""

import datetime as dt
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from bridge import events
from bridge.events import (
    BatchRejected,
    DispatchFailed,
    Event,
    GatewayUse,
    LaneDeferred,
    LanesRedispatched,
    RequestCompleted,
    StoreError,
    UpstreamCallCompleted,
    WritesDeadLettered,
    WritesDelivered,
)
from bridge.telemetry.logs import log_event, log_events
from bridge.upstream import Call
from tests.log_output import Output, logging_to

E = TypeVar("E", bound=Event)
EVENTS = sorted(
    (
        kind
        for kind in vars(events).values()
        # Not the bases of others.
        if isinstance(kind, type) and issubclass(kind, Event) and not kind.__subclasses__()
    ),
    key=lambda kind: kind.__name__,
)
DELIVERED = WritesDelivered(
    lane="r",
    first=7,
    writes=2,
    job_id="j",
    request_id="q",
    attempt=1,
    duration=dt.timedelta(milliseconds=12.3456),
    lag=dt.timedelta(seconds=1),
    upstream_request_id=None,
)
#: A value for each type that a field of an event may have: none of them can hold a body or a credential's object.
SAMPLES: dict[Any, Any] = {
    int: 3,
    bool: True,
    str: "text",
    str | None: None,
    int | None: 200,
    GatewayUse | None: GatewayUse(endpoint="chat", prompt_tokens=9, completion_tokens=12),
    dt.timedelta: dt.timedelta(seconds=1.5),
    dt.datetime: dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    dt.datetime | None: None,
}


@pytest.fixture
def output() -> Iterator[Output]:
    """What machines read."""
    with logging_to(Output()) as output:
        yield output


@pytest.fixture
def terminal() -> Iterator[Output]:
    """What people read."""
    with logging_to(Output(terminal=True)) as output:
        yield output


def _event(kind: type[E]) -> E:
    return kind(**{field.name: SAMPLES[field.type] for field in msgspec.structs.fields(kind)})


@pytest.mark.parametrize("kind", EVENTS)
def test_each_kind_of_event_is_logged_under_its_own_name_with_its_fields(
    kind: type[Event], output: Output, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bridge")

    log_event(_event(kind))

    [line] = output.lines()
    assert line["event"] == re.sub("([A-Z])", r"_\1", kind.__name__).lower().lstrip("_")
    # What upstream says may quote a write, so it is kept for operators and not logged.
    unlogged = {"unlogged_reason"} if kind is UpstreamCallCompleted else set()
    assert {field.name for field in msgspec.structs.fields(kind)} - unlogged <= line.keys()
    assert not unlogged & line.keys()
    assert line["logger"] == "bridge"


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (WritesDelivered, "info"),
        (LanesRedispatched, None),
        (DispatchFailed, "warning"),
        (BatchRejected, "warning"),
        (LaneDeferred, "warning"),
        (WritesDeadLettered, "error"),
        (StoreError, "error"),
    ],
)
def test_an_events_level_says_how_much_it_matters(kind: type[Event], level: str | None, output: Output) -> None:
    log_event(_event(kind))

    assert [line["level"] for line in output.lines()] == ([level] if level else [])


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["lanes_redispatched", "request_completed", "lane_deferred", "store_error"]),
        ("info", ["request_completed", "lane_deferred", "store_error"]),
        ("warning", ["lane_deferred", "store_error"]),
        ("error", ["store_error"]),
    ],
)
def test_what_matters_less_than_the_level_is_not_told(level: str, told: list[str]) -> None:
    with logging_to(Output(), level) as output:
        log_event(_event(LanesRedispatched))
        log_events([_event(RequestCompleted)])
        log_event(_event(LaneDeferred))
        log_event(_event(StoreError))
        logging.getLogger("botocore").debug("a body and a secret")

    assert [line["event"] for line in output.lines()] == told


def test_a_line_is_one_json_object_with_durations_in_seconds(output: Output) -> None:
    log_event(DELIVERED)

    [line] = output.lines()
    at = dt.datetime.fromisoformat(line.pop("at"))
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=1)
    assert isinstance(line.pop("process"), int)
    origin = {"level": "info", "event": "writes_delivered", "logger": "bridge"}
    fields = {"lane": "r", "first": 7, "writes": 2, "attempt": 1, "duration": 0.0123, "lag": 1.0}
    assert line == origin | fields | {"job_id": "j", "request_id": "q", "upstream_request_id": None}


@pytest.mark.parametrize("reason", ['line\nbreak "quoted" \\ back', "été 日本", "\u0000\u2028"])
def test_whatever_a_field_holds_it_stays_one_line(reason: str, output: Output) -> None:
    log_event(replace(_event(LaneDeferred), reason=reason, delay=dt.timedelta(seconds=2)))

    assert output.getvalue().count("\n") == 1
    [line] = output.lines()
    assert (line["reason"], line["delay"]) == (reason, 2.0)


def test_many_events_are_written_in_one_go_each_at_its_own_time(
    output: Output, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, logger="bridge")
    told = [_event(kind) for kind in EVENTS]
    for each in told:
        log_event(each)
    one_by_one = output.lines()
    written: list[str] = []
    monkeypatch.setattr(output, "write", written.append)

    log_events(told)

    [text] = written
    together = [json.loads(line) for line in text.splitlines()]
    for line in (*one_by_one, *together):
        if line["event"] != "request_completed":
            del line["at"]
    assert together == one_by_one
    assert [line["at"] for line in together if "at" in line] == ["2026-01-02T03:04:05Z"]


def test_of_many_events_those_of_no_interest_are_left_out(output: Output) -> None:
    log_events([_event(LanesRedispatched), DELIVERED, _event(LanesRedispatched)])

    assert [line["event"] for line in output.lines()] == ["writes_delivered"]


def test_a_log_that_can_not_be_written_stops_nobody(output: Output) -> None:
    output.close()

    log_events([DELIVERED])


def test_other_code_logs_in_the_same_format_with_its_exceptions(output: Output) -> None:
    try:
        raise ValueError("broken")  # noqa: TRY301 - it is made to be logged
    except ValueError:
        logging.getLogger("elsewhere").exception("it %s", "failed", extra={"fields": {"lane": "r"}})

    [line] = output.lines()
    assert (line["event"], line["level"], line["logger"], line["lane"]) == ("it failed", "error", "elsewhere", "r")
    assert line["exception"].endswith("ValueError: broken")


def test_on_a_terminal_a_line_is_for_reading(terminal: Output) -> None:
    log_event(DELIVERED)

    fields = (
        r"lane=r first=7 writes=2 job_id=j request_id=q attempt=1 duration=0\.0123 lag=1\.0 upstream_request_id=None"
    )
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} INFO    writes_delivered +{fields}\n", terminal.getvalue())


@pytest.mark.parametrize("kind", EVENTS)
def test_no_event_has_a_field_for_a_body_or_a_credential(kind: type[Event]) -> None:
    fields = msgspec.structs.fields(kind)

    assert {field.type for field in fields} <= SAMPLES.keys()
    forbidden = {"body", "payload", "call", "write", "headers", "token", "secret", "credentials", "value", "message"}
    assert not forbidden & {field.name for field in fields}


def test_a_call_does_not_show_its_body() -> None:
    assert "s3cret" not in repr(Call(path="/api", body=b"s3cret", workspace="w"))
