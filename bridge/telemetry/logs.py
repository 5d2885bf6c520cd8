# SPDX-License-Identifier: Apache-2.0
"""Logs: one line for each event, with a constant name and fields. JSON by default, columns on a terminal."""

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
    DeliveriesPaused,
    DeliveriesResumed,
    DeliveryErrored,
    DispatchFailed,
    Event,
    LaneDeferred,
    LaneDenied,
    LanesRedispatched,
    LeaseExpired,
    ReadCached,
    RequestCompleted,
    SecretDecryptionFailed,
    SignedIn,
    SignedOut,
    SignInFailed,
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
    DeliveriesPaused: logging.WARNING,
    DeliveriesResumed: logging.WARNING,
    LaneDeferred: logging.WARNING,
    LaneDenied: logging.WARNING,
    DeliveryErrored: logging.ERROR,
    LeaseExpired: logging.WARNING,
    StoreError: logging.ERROR,
    SecretDecryptionFailed: logging.ERROR,
    SignedIn: logging.INFO,
    SignedOut: logging.INFO,
    SignInFailed: logging.WARNING,
    DispatchFailed: logging.WARNING,
    LanesRedispatched: logging.DEBUG,
    ReadCached: logging.DEBUG,
    ThreadStarted: logging.DEBUG,
    UpstreamExamined: logging.INFO,
    ThreadFailed: logging.ERROR,
    RequestCompleted: logging.INFO,
}
_EVENT_NAMES = {kind: re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).lower() for kind in _LEVELS}
#: Fields that are no part of the log.
_UNLOGGED_FIELDS: dict[type[Event], tuple[str, ...]] = {UpstreamCallCompleted: ("unlogged_reason",)}
_JSON_ENCODER = msgspec.json.Encoder(enc_hook=str)
#: Fields that are left out on a terminal.
_PROCESS_FIELDS = ("logger", "process")

#: The fields of a log line, in their order.
_Line = dict[str, Any]


def log_event(event: Event) -> None:
    """Log an event under its name in snake case: ``WritesDeadLettered`` is ``writes_dead_lettered``."""
    level = _LEVELS[type(event)]
    if _LOG.isEnabledFor(level):
        # `Logger.log` would search the stack for the caller, which is always this line.
        extra = {"fields": _fields_of(event)}
        _LOG.handle(_LOG.makeRecord(_LOG.name, level, "", 0, _EVENT_NAMES[type(event)], (), None, extra=extra))


def log_events(events: Sequence[Event]) -> None:
    """Log many events with one system call, and without log records, which would cost more than all the rest."""
    handlers = logging.getLogger().handlers
    handler = next((handler for handler in handlers if isinstance(handler, _StandardErrorHandler)), None)
    if handler:
        handler.write([_event_line(event) for event in events if _LOG.isEnabledFor(_LEVELS[type(event)])])


def configure_logging(level: str = "info") -> None:
    """Send this process's logs from this level up, and warnings, to standard error in one format.

    Libraries log from ``info`` up only: their ``debug`` lines may hold bodies and secrets.
    """
    ensure_standard_error("mlflow-bridge")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(threshold, logging.INFO), handlers=[_StandardErrorHandler()], force=True)
    _LOG.setLevel(threshold)
    logging.captureWarnings(capture=True)


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    """A handler for standard error. If its reader stops, it does not block the logging threads."""

    def __init__(self) -> None:
        super().__init__()
        self._writer: Writer | None = None
        with suppress(OSError, ValueError):
            self._writer = Writer(self.stream.fileno(), self._dropped_line)
        self._encode: Callable[[Sequence[_Line]], str] = _columns if sys.stderr.isatty() else _json

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record.created, record.levelno, record.getMessage(), record.name, getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return self._encode([line]).removesuffix("\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self._writer is None:
            super().emit(record)
        else:
            try:
                self._writer.write(self.format(record) + "\n")
            except Exception:  # noqa: BLE001 - as in logging: a record that can't be formatted raises nothing
                self.handleError(record)

    def _dropped_line(self, count: int) -> str:
        """Return the line that reports this number of dropped lines."""
        fields = {"lines": count}
        return self._encode([_line(time.time(), logging.WARNING, "log_lines_dropped", _LOG.name, fields)])

    def write(self, lines: Sequence[_Line]) -> None:
        """Write many lines with one system call."""
        text = self._encode(lines)
        if self._writer is not None:
            self._writer.write(text)
            return
        self.acquire()
        try:
            # As in logging: a failed write raises nothing.
            with suppress(OSError, ValueError):
                self.stream.write(text)
                self.flush()
        finally:
            self.release()


def _event_line(event: Event) -> _Line:
    return _line(time.time(), _LEVELS[type(event)], _EVENT_NAMES[type(event)], _LOG.name, _fields_of(event))


def _fields_of(event: Event) -> dict[str, Any]:
    fields = asdict(event)
    for name in _UNLOGGED_FIELDS.get(type(event), ()):
        del fields[name]
    return fields


def _line(now: float, level: int, event: str, logger: str, fields: dict[str, Any]) -> _Line:
    line = {
        # An event with its own ``at`` overrides this time.
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


def _json(lines: Sequence[_Line]) -> str:
    return _JSON_ENCODER.encode_lines(lines).decode()


def _columns(lines: Sequence[_Line]) -> str:
    return "".join(f"{_column_line(line)}\n" for line in lines)


def _column_line(line: _Line) -> str:
    """Return a line for a terminal."""
    at, level, event = (line.pop(name) for name in ("at", "level", "event"))
    exception = line.pop("exception", None)
    fields = " ".join(f"{name}={_printable(str(value))}" for name, value in line.items() if name not in _PROCESS_FIELDS)
    text = f"{at.strftime('%H:%M:%S.%f')[:-3]} {level.upper():<7} {event:<28} {fields}".rstrip()
    return f"{text}\n{exception}" if exception else text


def _printable(text: str) -> str:
    """Escape line breaks and terminal control characters."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
