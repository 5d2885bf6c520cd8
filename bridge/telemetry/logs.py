# SPDX-License-Identifier: Apache-2.0
"""Logs: one line an event, a constant name with fields. JSON for machines, columns on a terminal."""

import datetime as dt
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TextIO

import msgspec
from msgspec.structs import asdict

from bridge.events import (
    BatchRejected,
    DeadLettersDrained,
    DeadLettersExpired,
    DeliveryErrored,
    DispatchFailed,
    Event,
    LaneDeferred,
    LaneDenied,
    LanesRedispatched,
    LeaseExpired,
    RequestCompleted,
    SecretDecryptionFailed,
    StoreError,
    ThreadFailed,
    ThreadStarted,
    UpstreamCallCompleted,
    UpstreamExamined,
    WritesDeadLettered,
    WritesDelivered,
)
from bridge.telemetry.standard_error import Writer, ensure_standard_error

_LOG = logging.getLogger("bridge")

_LEVELS: dict[type[Event], int] = {
    WritesDelivered: logging.INFO,
    UpstreamCallCompleted: logging.DEBUG,
    BatchRejected: logging.WARNING,
    WritesDeadLettered: logging.ERROR,
    DeadLettersDrained: logging.WARNING,
    DeadLettersExpired: logging.ERROR,
    LaneDeferred: logging.WARNING,
    LaneDenied: logging.WARNING,
    DeliveryErrored: logging.ERROR,
    LeaseExpired: logging.WARNING,
    StoreError: logging.ERROR,
    SecretDecryptionFailed: logging.ERROR,
    DispatchFailed: logging.WARNING,
    LanesRedispatched: logging.DEBUG,
    ThreadStarted: logging.DEBUG,
    UpstreamExamined: logging.INFO,
    ThreadFailed: logging.ERROR,
    RequestCompleted: logging.INFO,
}


_NAMES = {kind: re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).lower() for kind in _LEVELS}


def log_event(event: Event) -> None:
    """Log an event under its name in the log's spelling: ``WritesDeadLettered`` is ``writes_dead_lettered``."""
    level = _LEVELS[type(event)]
    if _LOG.isEnabledFor(level):
        # Where in the code that is, which `log` would look for, says nothing.
        extra = {"fields": asdict(event)}
        _LOG.handle(_LOG.makeRecord(_LOG.name, level, "", 0, _NAMES[type(event)], (), None, extra=extra))


def log_events(events: Sequence[Event]) -> None:
    """Log many events in one go: one system call, and no record for each, which costs more than all the rest."""
    output = next((each for each in logging.getLogger().handlers if isinstance(each, _Output)), None)
    if output:
        output.write([_line_of(event) for event in events if _LOG.isEnabledFor(_LEVELS[type(event)])])


def configure_logging(level: str = "info") -> None:
    """Send all logs of this process from this level on, and warnings, to standard error, in one format.

    Of libraries nothing below ``info``: what they tell at ``debug`` may hold bodies and secrets.
    """
    ensure_standard_error("mlflow-bridge")
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(least, logging.INFO), handlers=[_Output()], force=True)
    _LOG.setLevel(least)
    logging.captureWarnings(capture=True)


_Line = dict[str, Any]


class _Output(logging.StreamHandler[TextIO]):
    """Standard error. Where it is a file, a pipe or a terminal, a reader that stops holds up no thread that logs."""

    def __init__(self) -> None:
        super().__init__()
        self._writer: Writer | None = None
        with suppress(OSError, ValueError):
            self._writer = Writer(self.stream.fileno(), self._lost)
        self._spell: Callable[[Sequence[_Line]], str] = _columns if sys.stderr.isatty() else _json

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record.created, record.levelno, record.getMessage(), record.name, getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return self._spell([line]).removesuffix("\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self._writer is None:
            super().emit(record)
        else:
            try:
                self._writer.write(self.format(record) + "\n")
            except Exception:  # noqa: BLE001 - as logging has it: a record that can't be spelled out stops nothing
                self.handleError(record)

    def _lost(self, lines: int) -> str:
        fields = {"lines": lines}
        return self._spell([_line(time.time(), logging.WARNING, "log_lines_dropped", _LOG.name, fields)])

    def write(self, lines: Sequence[_Line]) -> None:
        """Write these at once."""
        text = self._spell(lines)
        if self._writer is not None:
            self._writer.write(text)
            return
        self.acquire()
        try:
            # As logging has it: what can't be written down stops nobody.
            with suppress(OSError, ValueError):
                self.stream.write(text)
                self.flush()
        finally:
            self.release()


def _line_of(event: Event) -> _Line:
    return _line(time.time(), _LEVELS[type(event)], _NAMES[type(event)], _LOG.name, asdict(event))


def _line(now: float, level: int, event: str, logger: str, fields: dict[str, Any]) -> _Line:
    line = {
        # An event that says itself when it was is told later.
        "at": dt.datetime.fromtimestamp(now, dt.UTC),
        "level": _level_name(level),
        "event": event,
        "logger": logger,
        "process": os.getpid(),
        **fields,
    }
    for name, value in fields.items():
        if type(value) is dt.timedelta:
            line[name] = round(value.total_seconds(), 4)
    return line


@cache
def _level_name(level: int) -> str:
    return str(logging.getLevelName(level)).lower()


_JSON = msgspec.json.Encoder(enc_hook=str)


def _json(lines: Sequence[_Line]) -> str:
    return _JSON.encode_lines(lines).decode()


def _columns(lines: Sequence[_Line]) -> str:
    return "".join(f"{_in_columns(line)}\n" for line in lines)


def _in_columns(line: _Line) -> str:
    """What people want to see of a line."""
    at, level, event = (line.pop(name) for name in ("at", "level", "event"))
    exception = line.pop("exception", None)
    fields = " ".join(f"{name}={_printable(str(value))}" for name, value in line.items() if name not in _OF_PROCESS)
    text = f"{at.strftime('%H:%M:%S.%f')[:-3]} {level.upper():<7} {event:<28} {fields}".rstrip()
    return f"{text}\n{exception}" if exception else text


_OF_PROCESS = ("logger", "process")


def _printable(text: str) -> str:
    """Return a text with nothing in it that could begin another line, or steer a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
