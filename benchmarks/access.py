# SPDX-License-Identifier: Apache-2.0
"""What it costs to know who asks."""

import itertools
import statistics
from collections.abc import Callable, Iterator

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, key_for, metric, ok
from benchmarks.generator import closed, request
from benchmarks.table import Row, Setting
from schemas.client import Client

_RUNS = [f"{number:032x}" for number in range(50)]


def guarded(setting: Setting) -> Iterator[Row]:
    """Single writes accepted by a bridge that knows its clients by their keys, and by one that asks nobody."""
    keys = {"BRIDGE_AUTH": "keys"}
    with (
        contenders.void(setting.place("guarded")) as upstream,
        contenders.bridge(upstream, setting.place("open"), workers=0) as free,
        contenders.bridge(upstream, setting.place("keys"), workers=0, settings=keys) as closed_to_strangers,
    ):
        bearer = {"Authorization": f"Bearer {key_for(closed_to_strangers, Client(name='bench'))}"}
        begins = itertools.count(step=100_000)

        def rate(url: str) -> float:
            begin, count = next(begins), max(3_000, setting.amount(7_000))
            # Both send the header, so that only one of them looks at it.
            calls = [
                request("POST", url + LOG_METRIC, metric(_RUNS[step % len(_RUNS)], step), bearer)
                for step in range(begin, begin + count)
            ]
            return ok(closed(url, calls, connections=16)).rate

        yield _row(_alternating(setting, {"keys": closed_to_strangers.url, "open": free.url}, rate))


def _alternating(setting: Setting, urls: dict[str, str], rate: Callable[[str], float]) -> list[dict[str, float]]:
    """Return the rates of many short rounds, first one ahead, then the other: rounds differ by more than they do."""
    rounds, found = 3 * setting.rounds, []
    for number in range(rounds):
        setting.tell(f"round {number + 1} of {rounds}")
        names = sorted(urls, reverse=bool(number % 2))
        found.append({name: rate(urls[name]) for name in names})
    return found


def _row(found: list[dict[str, float]]) -> Row:
    ratios = sorted(each["keys"] / each["open"] for each in found)
    rates = (f"{name} {statistics.median(each[name] for each in found):.0f}/s" for name in ("keys", "open"))
    return Row(
        name="single writes accepted, with keys / without",
        ratio=statistics.median(ratios),
        target=">= 0.95",
        figures=f"{', '.join(rates)}; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}",
    )
