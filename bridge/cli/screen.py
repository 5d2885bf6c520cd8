# SPDX-License-Identifier: Apache-2.0
"""The overview as lines of text, with the colours of ANSI terminals where they are wanted."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from bridge.cli.http_client import printable
from bridge.cli.lanes import lane_line
from bridge.cli.moments import age, clock, number, size

_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLORS = {
    "delivering": "\x1b[32m",
    "idle": "\x1b[32m",
    "degraded": "\x1b[33m",
    "paused": "\x1b[33m",
    "unavailable": "\x1b[31m",
}
_LABEL_WIDTH = 14


def overview_lines(
    overview: dict[str, Any], lanes: list[dict[str, Any]], *, now: dt.datetime, width: int, is_colored: bool
) -> list[str]:
    """Return the overview and the lanes that have waited for the longest time, cut to the width."""
    status = overview["status"]
    lines = [f"{status.upper()}   as of {now.astimezone():%H:%M:%S}", *_causes(overview), ""]
    lines += [f"{label:<{_LABEL_WIDTH}}{value}" for label, value in _figures(overview, now)]
    if lanes:
        lines += ["", "Lanes that have waited for the longest time", *(lane_line(lane, now) for lane in lanes)]
    lines = [line[:width] for line in lines]
    if not is_colored:
        return lines
    heads = {0: _BOLD + _COLORS.get(status, "")}
    return [f"{heads[at]}{line}{_RESET}" if at in heads else _colored(line) for at, line in enumerate(lines)]


def _colored(line: str) -> str:
    return f"{_BOLD}{line[:_LABEL_WIDTH]}{_RESET}{line[_LABEL_WIDTH:]}" if line.startswith(_LABELS) else line


_LABELS = ("Waiting", "Oldest", "Dead letters", "Lag", "Rates", "Upstream", "Workers", "Store", "Drain")


def _causes(overview: dict[str, Any]) -> Iterator[str]:
    for cause in overview["why"]:
        since = f" (since {clock(cause['since'])})" if cause["since"] else ""
        yield f"  {cause['code']}{since}: {printable(cause['text'])} {cause['next'] or ''}".rstrip()


def _figures(overview: dict[str, Any], now: dt.datetime) -> Iterator[tuple[str, str]]:
    backlog, rates, lag, store = (overview[name] for name in ("backlog", "rates", "lag", "store"))
    letters, workers = overview["dead_letters"], overview["workers"]
    waiting = (
        f"{number(backlog['writes'])} writes in {number(backlog['lanes'])} lanes, {size(backlog['pending_bytes'])}"
    )
    yield "Waiting", waiting
    horizon = f", expires {clock(backlog['horizon_at'])}" if backlog["horizon_at"] else ""
    yield "Oldest", f"{age(backlog['oldest_accepted_at'], now)}{horizon}"
    yield "Dead letters", f"{number(letters['count'])} (+{number(letters['last_hour'])} in an hour)"
    p50, p95 = ("-" if lag[name] is None else f"{lag[name]:.3g} s" for name in ("p50", "p95"))
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
    by = f", ordered by {drain['ordered_by']}" if drain["ordered_by"] else ""
    return f"{drain['action']} {drain['drain_id']}: {number(drain['done'])} of {number(drain['total'])}{rate}{by}"
