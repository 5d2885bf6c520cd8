# SPDX-License-Identifier: Apache-2.0
"""Formats the overview as lines of text for ``mlflow-bridge top``, on request with ANSI colours."""

import datetime as dt
import textwrap
from collections.abc import Iterator
from typing import Any

from bridge.cli.formatting import age, number, size, time_of_day
from bridge.cli.http_client import printable
from bridge.cli.lanes import lane_line

_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_COLORS = {
    "delivering": "\x1b[32m",
    "idle": "\x1b[32m",
    "degraded": "\x1b[33m",
    "paused": "\x1b[33m",
    "unavailable": "\x1b[31m",
}
#: The labels of `_figures`.
_LABELS = ("Waiting", "Oldest", "Dead letters", "Lag", "Rates", "Upstream", "Workers", "Store", "Drain")
_LABEL_WIDTH = 14


def overview_lines(
    overview: dict[str, Any], lanes: list[dict[str, Any]], *, now: dt.datetime, width: int | None, is_colored: bool
) -> list[str]:
    """Return the overview and the lanes that have waited for the longest time.

    Causes are wrapped at the width and all else is cut; None: the lines are as long as they are.
    """
    status = overview["status"]
    title = f"{status.upper()}   as of {now.astimezone():%H:%M:%S}"[:width]
    lines = [*(line for cause in _causes(overview) for line in _wrapped(cause, width)), ""]
    lines += [f"{label:<{_LABEL_WIDTH}}{value}" for label, value in _figures(overview, now)]
    if lanes:
        lines += ["", "Lanes that have waited for the longest time", *(lane_line(lane, now) for lane in lanes)]
    lines = [line[:width] for line in lines]
    if not is_colored:
        return [title, *lines]
    return [f"{_BOLD}{_COLORS.get(status, '')}{title}{_RESET}", *(_with_bold_label(line) for line in lines)]


def _with_bold_label(line: str) -> str:
    return f"{_BOLD}{line[:_LABEL_WIDTH]}{_RESET}{line[_LABEL_WIDTH:]}" if line.startswith(_LABELS) else line


def _wrapped(line: str, width: int | None) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="    ") if width else [line]


def _causes(overview: dict[str, Any]) -> Iterator[str]:
    for cause in overview["why"]:
        since = f" (since {time_of_day(cause['since'])})" if cause["since"] else ""
        yield f"  {cause['code']}{since}: {printable(cause['text'])} {cause['next'] or ''}".rstrip()


def _figures(overview: dict[str, Any], now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each figure."""
    backlog, rates, lag, store = (overview[name] for name in ("backlog", "rates", "lag", "store"))
    letters, workers = overview["dead_letters"], overview["workers"]
    waiting = (
        f"{number(backlog['writes'])} writes in {number(backlog['lanes'])} lanes, {size(backlog['pending_bytes'])}"
    )
    yield "Waiting", waiting
    horizon = f", expires {time_of_day(backlog['horizon_at'])}" if backlog["horizon_at"] else ""
    yield "Oldest", f"{age(backlog['oldest_accepted_at'], now)}{horizon}"
    yield "Dead letters", f"{number(letters['count'])} (+{number(letters['last_hour'])} in an hour)"
    p50, p95 = ("-" if lag[name] is None else f"{number(round(lag[name], 3))} s" for name in ("p50", "p95"))
    yield "Lag", f"p50 {p50}, p95 {p95}"
    kinds = ("accepted", "delivered", "buried", "refused", "calls")
    yield "Rates", ", ".join(f"{kind} {rates[kind]:g}/s" for kind in kinds)
    yield "Upstream", _gate(overview["gate"], now)
    versions = f" ({', '.join(workers['versions'])})" if workers["versions"] else ""
    yield "Workers", f"{workers['alive']} alive, delivering {workers['delivering']} lanes{versions}"
    share = f" ({store['used'] / store['cap']:.1%} of {size(store['cap'])})" if store["cap"] else ""
    yield "Store", f"{size(store['used'])}{share}, {store['durability']}"
    for drain in overview["drains"]:
        yield "Drain", _drain(drain)


def _gate(gate: dict[str, Any], now: dt.datetime) -> str:
    parts = [f"breaker {gate['breaker']}"]
    if gate["rate"] is not None:
        parts.append(f"{gate['rate']:g} calls/s")
    if gate["delivered_at"]:
        parts.append(f"last delivery {age(gate['delivered_at'], now)} ago")
    return ", ".join(parts)


def _drain(drain: dict[str, Any]) -> str:
    rate = f" at {drain['rate']:g}/s" if drain["rate"] else ""
    ordered_by = f", ordered by {drain['ordered_by']}" if drain["ordered_by"] else ""
    progress = f"{number(drain['done'])} of {number(drain['total'])}"
    return f"{drain['action']} {drain['drain_id']}: {progress}{rate}{ordered_by}"
