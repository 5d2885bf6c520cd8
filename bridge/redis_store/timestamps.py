# SPDX-License-Identifier: Apache-2.0
"""Conversions to and from the store's unit of time: whole milliseconds, for a moment since 1970 (UTC)."""

import datetime as dt
from typing import Any


def to_ms(span: dt.timedelta) -> int:
    """Return a span in milliseconds."""
    return round(span.total_seconds() * 1000)


def from_ms(ms: bytes | float) -> dt.datetime:
    """Return the moment that the store holds as these milliseconds."""
    return dt.datetime.fromtimestamp(float(ms) / 1000, dt.UTC)


def store_time_ms(client: Any) -> int:  # noqa: ANN401 - see RedisOutbox
    """Return the time by the store's clock, the only one that all processes share."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
