# SPDX-License-Identifier: Apache-2.0
"""Logs: one line an event, in a constant spelling, with fields and without bodies."""

import datetime as dt
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from bridge import events
from bridge.events import (
    BatchRefused,
    DispatchFailed,
    Event,
    LaneDeferred,
    LanesSwept,
    StoreFailed,
    WritesBuried,
    WritesDelivered,
)
from bridge.telemetry.logs import configure_logging, log_event
from bridge.upstream import Call

E = TypeVar("E", bound=Event)
EVENTS = sorted(
    (
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
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
    took=dt.timedelta(milliseconds=12.3456),
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
    dt.timedelta: dt.timedelta(seconds=1.5),
}


class Stream(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, _logging_as_it_was: None) -> Stream:
    """What machines read."""
    return _configured(monkeypatch, Stream(terminal=False))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, _logging_as_it_was: None) -> Stream:
    """What people read."""
    return _configured(monkeypatch, Stream(terminal=True))


def _configured(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> Stream:
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()
    return stream


def _lines(output: Stream) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().split("\n")[:-1]]


def _event(kind: type[E]) -> E:
    return kind(**{field.name: SAMPLES[field.type] for field in msgspec.structs.fields(kind)})


@pytest.mark.parametrize("kind", EVENTS)
def test_each_kind_of_event_is_logged_under_its_own_name_with_its_fields(
    kind: type[Event], output: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bridge")

    log_event(_event(kind))

    [line] = _lines(output)
    assert line["event"] == re.sub("([A-Z])", r"_\1", kind.__name__).lower().lstrip("_")
    assert {field.name for field in msgspec.structs.fields(kind)} <= line.keys()
    assert line["logger"] == "bridge"


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (WritesDelivered, "info"),
        (LanesSwept, None),
        (DispatchFailed, "warning"),
        (BatchRefused, "warning"),
        (LaneDeferred, "warning"),
        (WritesBuried, "error"),
        (StoreFailed, "error"),
    ],
)
def test_an_events_level_says_how_much_it_matters(kind: type[Event], level: str | None, output: Stream) -> None:
    log_event(_event(kind))

    assert [line["level"] for line in _lines(output)] == ([level] if level else [])


def test_a_line_is_one_json_object_with_durations_in_seconds(output: Stream) -> None:
    log_event(DELIVERED)

    [line] = _lines(output)
    at = dt.datetime.fromisoformat(line.pop("at"))
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=1)
    assert isinstance(line.pop("process"), int)
    origin = {"level": "info", "event": "writes_delivered", "logger": "bridge"}
    fields = {"lane": "r", "first": 7, "writes": 2, "attempt": 1, "took": 0.0123, "lag": 1.0}
    assert line == origin | fields | {"job_id": "j", "request_id": "q", "upstream_request_id": None}


@pytest.mark.parametrize("why", ['line\nbreak "quoted" \\ back', "été 日本", "\u0000\u2028"])
def test_whatever_a_field_holds_it_stays_one_line(why: str, output: Stream) -> None:
    log_event(replace(_event(LaneDeferred), why=why, delay=dt.timedelta(seconds=2)))

    assert output.getvalue().count("\n") == 1
    [line] = _lines(output)
    assert (line["why"], line["delay"]) == (why, 2.0)


def test_other_code_logs_in_the_same_format_with_its_exceptions(output: Stream) -> None:
    try:
        raise ValueError("broken")  # noqa: TRY301 - it is made to be logged
    except ValueError:
        logging.getLogger("elsewhere").exception("it %s", "failed", extra={"fields": {"lane": "r"}})

    [line] = _lines(output)
    assert (line["event"], line["level"], line["logger"], line["lane"]) == ("it failed", "error", "elsewhere", "r")
    assert line["exception"].endswith("ValueError: broken")


def test_on_a_terminal_a_line_is_for_reading(terminal: Stream) -> None:
    log_event(DELIVERED)

    fields = r"lane=r first=7 writes=2 job_id=j request_id=q attempt=1 took=0\.0123 lag=1\.0 upstream_request_id=None"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} INFO    writes_delivered +{fields}\n", terminal.getvalue())


@pytest.mark.parametrize("kind", EVENTS)
def test_no_event_has_a_field_for_a_body_or_a_credential(kind: type[Event]) -> None:
    fields = msgspec.structs.fields(kind)

    assert {field.type for field in fields} <= SAMPLES.keys()
    forbidden = {"body", "payload", "call", "write", "headers", "token", "secret", "credentials", "value", "message"}
    assert not forbidden & {field.name for field in fields}


def test_a_call_does_not_show_its_body() -> None:
    assert "s3cret" not in repr(Call(path="/api", body=b"s3cret", workspace="w"))
