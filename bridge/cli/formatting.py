# SPDX-License-Identifier: Apache-2.0
"""Moments, sizes and rates for people. The api states moments only; their age is counted here."""

import datetime as dt

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(moment: str | None, now: dt.datetime) -> str:
    """Return how long ago a moment of the api was, such as ``6m``; ``-`` for none."""
    return span((now - read_moment(moment)).total_seconds()) if moment else "-"


def span(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``1h 5m``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0")) or "0s"


def read_moment(text: str) -> dt.datetime:
    """Return a moment of the api."""
    return dt.datetime.fromisoformat(text)


def clock(moment: str | None) -> str:
    """Return a moment as a time of day here; ``-`` for none."""
    return f"{read_moment(moment).astimezone():%H:%M:%S}" if moment else "-"


def size(count: float) -> str:
    """Return a number of bytes, such as ``44 KiB``."""
    if count < 1024:
        return f"{count:.0f} B"
    power = min(3, (int(count).bit_length() - 1) // 10)
    scaled = count / 1024**power
    unit = ("B", "KiB", "MiB", "GiB")[power]
    return f"{scaled:.0f} {unit}" if scaled >= 10 else f"{scaled:.1f} {unit}"


def number(value: float | None) -> str:
    """Return a number with separators, ``?`` where it is not known."""
    return "?" if value is None else f"{value:,.12g}"
