# SPDX-License-Identifier: Apache-2.0
"""Logs: one line an event, a constant name with fields. JSON for machines, columns on a terminal."""

import datetime as dt
import logging
import re
import sys
from typing import Any

import msgspec

from bridge.events import (
    BatchRefused,
    CallAnswered,
    DeliveryBroke,
    DispatchFailed,
    Event,
    LaneDeferred,
    LanesSwept,
    LeaseWasLost,
    LettersDrained,
    LettersExpired,
    RequestAnswered,
    SecretNotOpened,
    StoreFailed,
    WritesBuried,
    WritesDelivered,
)

_LOG = logging.getLogger("bridge")

_LEVELS: dict[type[Event], int] = {
    WritesDelivered: logging.INFO,
    CallAnswered: logging.DEBUG,
    BatchRefused: logging.WARNING,
    WritesBuried: logging.ERROR,
    LettersDrained: logging.WARNING,
    LettersExpired: logging.ERROR,
    LaneDeferred: logging.WARNING,
    DeliveryBroke: logging.ERROR,
    LeaseWasLost: logging.WARNING,
    StoreFailed: logging.ERROR,
    SecretNotOpened: logging.ERROR,
    DispatchFailed: logging.WARNING,
    LanesSwept: logging.DEBUG,
    RequestAnswered: logging.INFO,
}


_NAMES = {kind: re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).lower() for kind in _LEVELS}


def log_event(event: Event) -> None:
    """Log an event under its name in the log's spelling: ``WritesBuried`` is ``writes_buried``."""
    level = _LEVELS[type(event)]
    if _LOG.isEnabledFor(level):
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        # Each request is told. Where in the code that is, which `log` would look for, says nothing.
        _LOG.handle(_LOG.makeRecord(_LOG.name, level, "", 0, _NAMES[type(event)], (), None, extra={"fields": fields}))


def configure_logging() -> None:
    """Send all logs of this process to standard error, in one format."""
    output = logging.StreamHandler()
    output.setFormatter(_Columns() if sys.stderr.isatty() else _Json())
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)


_encode = msgspec.json.Encoder(enc_hook=str).encode


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "process": record.process,
            **_plain(getattr(record, "fields", {})),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class _Columns(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).strftime("%H:%M:%S.%f")[:-3]
        plain = _plain(getattr(record, "fields", {}))
        fields = " ".join(f"{name}={_printable(str(value))}" for name, value in plain.items())
        line = f"{at} {record.levelname:<7} {record.getMessage():<28} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _printable(text: str) -> str:
    """Return a text with nothing in it that could begin another line, or steer a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Durations as seconds; the rest is plain already."""
    return {
        name: round(value.total_seconds(), 4) if isinstance(value, dt.timedelta) else value
        for name, value in fields.items()
    }
