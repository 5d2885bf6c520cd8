# SPDX-License-Identifier: Apache-2.0
"""Measures of reads: through the proxy, MLflow's UI, and dashboards that poll."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import requests

from benchmarks import contenders
from benchmarks.calls import medians, ok
from benchmarks.cpu import CpuMeter
from benchmarks.generator import closed, opened, request
from benchmarks.table import Row, Setting
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer, Delay

_GET_RUN, _SEARCH_RUNS = "/api/2.0/mlflow/runs/get", "/api/2.0/mlflow/runs/search"
_LATENCY_S = 0.02
#: As many connections as a browser opens to one host, and about as many chunks as a page of MLflow's UI loads.
_CONNECTIONS, _CHUNKS = 6, 24
_POLLERS = 50


def proxy(setting: Setting) -> Iterator[Row]:
    """Reads through the bridge and through the naive proxy, from an upstream that does no work."""
    with (
        contenders.void(setting.place("proxy")) as upstream,
        contenders.naive(upstream, setting.place("proxy")) as naive,
        contenders.bridge(upstream, setting.place("proxy"), workers=0) as bridge,
    ):
        count, numbers = setting.amount(3000, least=1500), itertools.count()
        meter = CpuMeter(bridge)

        def rate(url: str, *, distinct: bool) -> Callable[[int], float]:
            def measure(_: int) -> float:
                runs = [next(numbers) if distinct else 0 for _ in range(count)]
                calls = [request("GET", f"{url}{_GET_RUN}?run_id={run:032x}") for run in runs]
                with meter.measure(count) if distinct and url == bridge.url else nullcontext():
                    return ok(closed(url, calls, connections=8)).rate

            return measure

        rates = {
            "naive": rate(naive, distinct=True),
            "bridge": rate(bridge.url, distinct=True),
            "bridge, identical": rate(bridge.url, distinct=False),
        }
        found = medians(setting, rates, warm_up=True)
        figures = ", ".join(f"{name} {each:.0f}/s" for name, each in found.items()) + f"; {meter.figures}"
        for name, reads, target in (("bridge", "", ">= 3"), ("bridge, identical", "identical ", "")):
            yield Row(
                name=f"{reads}reads proxied, bridge / naive",
                ratio=found[name] / found["naive"],
                target=target,
                figures=figures,
            )


def ui(setting: Setting) -> Iterator[Row]:
    """Files of a page of MLflow's UI, for a second visitor with an empty browser cache, from an upstream 20 ms away."""
    with (
        contenders.mlflow(setting, "ui") as direct,
        SignatureFront(direct, check=None) as far,
        contenders.bridge(far.url, setting.place("ui"), workers=0) as bridge,
    ):
        waves = _waves(direct)
        far.set_fault(Delay(_LATENCY_S))
        _load(bridge.url, waves)

        def load(url: str) -> Callable[[int], float]:
            return lambda _: _load(url, waves)

        found = medians(setting, {"direct": load(far.url), "bridge": load(bridge.url)})
        yield Row(
            name="first load of MLflow's UI, upstream 20 ms away, bridge / direct",
            ratio=found["bridge"] / found["direct"],
            target="<= 0.5",
            figures=f"{sum(map(len, waves))} files: "
            + ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in found.items()),
        )


def pollers(setting: Setting) -> Iterator[Row]:
    """Calls that reach upstream from fifty dashboards that poll the same run, and the same search, once a second."""
    with (
        SignatureFront("http://127.0.0.1:9", check=None) as upstream,
        contenders.bridge(upstream.url, setting.place("pollers"), workers=0) as bridge,
    ):
        upstream.set_fault(Answer(200, {"Content-Type": "application/json"}, b'{"run": {}}'))
        polls = {
            "run": ("runs/get", request("GET", f"{bridge.url}{_GET_RUN}?run_id={'0' * 32}")),
            "search": ("runs/search", request("POST", bridge.url + _SEARCH_RUNS, json.dumps({}).encode())),
        }
        for name, (path, poll) in polls.items():
            seconds = setting.amount(10, least=5)
            load = ok(opened(bridge.url, [poll] * (_POLLERS * seconds), per_second=_POLLERS, connections=_POLLERS))
            reached = sum(call.path.endswith(path) for call in upstream.calls)
            yield Row(
                name=f"calls a second that reach upstream from 50 pollers of one {name}",
                ratio=reached / max(1.0, load.seconds),
                target="<= 1.5",
                figures=f"{reached} of {_POLLERS * seconds} in {load.seconds:.1f} s",
            )


def _waves(url: str) -> list[list[str]]:
    """Return the files of a page as a browser finds them: the page, what it names, and the chunks that these load."""
    files = requests.get(f"{url}/static-files/asset-manifest.json", timeout=30).json()["files"]
    chunks = sorted(path for name, path in files.items() if name.endswith(".chunk.js"))
    return [["/"], [files["main.js"], files["main.css"]], chunks[:_CHUNKS]]


def _load(url: str, waves: list[list[str]]) -> float:
    """Return the seconds that a browser without any of the files waits for them."""
    return sum(
        ok(closed(url, [request("GET", url + path) for path in wave], connections=min(_CONNECTIONS, len(wave)))).seconds
        for wave in waves
    )
