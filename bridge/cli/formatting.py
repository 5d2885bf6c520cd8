# SPDX-License-Identifier: Apache-2.0
"""Formats times, sizes and numbers of the api's documents for a terminal.

The api states points in time and no ages. An age is computed here, by the clock of this machine.
"""

import datetime as dt

#: Units of a duration, each with its seconds.
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(timestamp: str | None, now: dt.datetime) -> str:
    """Return the time since a timestamp of the api, such as ``6m``; ``-`` for none."""
    return span((now - parse_timestamp(timestamp)).total_seconds()) if timestamp else "-"


def span(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``1h 5m``."""
    remaining_s = max(0, int(seconds))
    parts: list[str] = []
    for unit, unit_s in _UNITS:
        count, remaining_s = divmod(remaining_s, unit_s)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0")) or "0s"


def parse_timestamp(text: str) -> dt.datetime:
    """Parse a timestamp of the api (RFC 3339)."""
    return dt.datetime.fromisoformat(text)


def time_of_day(timestamp: str | None) -> str:
    """Return a timestamp of the api as a local time of day; ``-`` for none."""
    return f"{parse_timestamp(timestamp).astimezone():%H:%M:%S}" if timestamp else "-"


def size(count: float) -> str:
    """Return a number of bytes, such as ``44 KiB``."""
    if count < 1024:
        return f"{count:.0f} B"
    power = min(3, (int(count).bit_length() - 1) // 10)
    scaled = count / 1024**power
    unit = ("B", "KiB", "MiB", "GiB")[power]
    return f"{scaled:.0f} {unit}" if scaled >= 10 else f"{scaled:.1f} {unit}"


def number(value: float | None) -> str:
    """Return a number with separators of thousands, ``?`` for an unknown one."""
    return "?" if value is None else f"{value:,.12g}"
