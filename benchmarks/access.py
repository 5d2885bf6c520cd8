# SPDX-License-Identifier: Apache-2.0
"""What it costs to know who asks."""

import itertools
from collections.abc import Callable, Iterator

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, key_for, medians, metric, ok
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

        def rate(url: str) -> Callable[[int], float]:
            def measure(_: int) -> float:
                begin, count = next(begins), setting.amount(20_000)
                # Both send the header, so that only one of them looks at it.
                calls = [
                    request("POST", url + LOG_METRIC, metric(_RUNS[step % len(_RUNS)], step), bearer)
                    for step in range(begin, begin + count)
                ]
                return ok(closed(url, calls, connections=16)).rate

            return measure

        found = medians(setting, {"keys": rate(closed_to_strangers.url), "open": rate(free.url)})
        yield Row(
            name="single writes accepted, with keys / without",
            ratio=found["keys"] / found["open"],
            target=">= 0.95",
            figures=", ".join(f"{name} {each:.0f}/s" for name, each in found.items()),
        )
