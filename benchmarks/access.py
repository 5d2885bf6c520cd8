# SPDX-License-Identifier: Apache-2.0
"""The cost of authentication and authorization."""

import itertools
import statistics
from collections.abc import Callable, Iterator

from benchmarks import contenders
from benchmarks.calls import LOG_METRIC, key_for, metric, ok
from benchmarks.cpu import CpuMeter
from benchmarks.generator import closed, request
from benchmarks.table import Row, Setting
from schemas.client import Client

_RUNS = [f"{number:032x}" for number in range(50)]


def guarded(setting: Setting) -> Iterator[Row]:
    """Single writes accepted by a bridge without authentication, and by two with API keys.

    One of the two logs each request, which is the default with authentication; the other logs none, for comparison.
    """
    keys, silent = {"BRIDGE_AUTH": "keys"}, {"BRIDGE_AUTH": "keys", "BRIDGE_LOG_LEVEL": "warning"}
    with (
        contenders.void(setting.place("guarded")) as upstream,
        contenders.bridge(upstream, setting.place("open"), workers=0) as free,
        contenders.bridge(upstream, setting.place("keys"), workers=0, settings=keys) as logging,
        contenders.bridge(upstream, setting.place("silent"), workers=0, settings=silent) as not_logging,
    ):
        bridges = {"open": free, "keys": logging, "keys, no log": not_logging}
        # All clients send the header, so that the requests are equal.
        bearers = {
            bridge.url: {"Authorization": f"Bearer {key_for(bridge, Client(name='bench'))}"}
            for bridge in bridges.values()
        }
        begins = itertools.count(step=100_000)
        meters = {bridge.url: CpuMeter(bridge) for bridge in bridges.values()}

        def rate(url: str) -> float:
            begin, count = next(begins), setting.amount(7_000, least=3_000)
            calls = [
                request("POST", url + LOG_METRIC, metric(_RUNS[step % len(_RUNS)], step), bearers[url])
                for step in range(begin, begin + count)
            ]
            with meters[url].measure(count):
                return ok(closed(url, calls, connections=16)).rate

        found = _alternating(setting, {name: bridge.url for name, bridge in bridges.items()}, rate)
        cpu = {name: meters[bridge.url].figures for name, bridge in bridges.items()}
        yield _row("single writes accepted, with keys / without", found, "keys", cpu, ">= 0.95")
        yield _row(
            "single writes accepted, with keys and no log of requests / without", found, "keys, no log", cpu, ">= 0.97"
        )


def _alternating(setting: Setting, urls: dict[str, str], rate: Callable[[str], float]) -> list[dict[str, float]]:
    """Return the rates of many short rounds in changing order: rounds differ more than the contenders."""
    rounds, found = 1 if setting.smoke else 3 * setting.rounds, []
    for number in range(rounds):
        setting.show_progress(f"round {number + 1} of {rounds}")
        names = list(urls)
        turned = names[number % len(names) :] + names[: number % len(names)]
        found.append({name: rate(urls[name]) for name in turned})
    return found


def _row(name: str, found: list[dict[str, float]], which: str, cpu: dict[str, str], target: str) -> Row:
    ratios = sorted(each[which] / each["open"] for each in found)
    rates = (
        f"{name} {statistics.median(each[name] for each in found):.0f}/s ({cpu[name]})" for name in (which, "open")
    )
    return Row(
        name=name,
        ratio=statistics.median(ratios),
        target=target,
        figures=f"{', '.join(rates)}; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}",
    )
