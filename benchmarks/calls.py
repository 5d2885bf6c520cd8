# SPDX-License-Identifier: Apache-2.0
"""Requests of the measures, and the rounds in which they are sent."""

import datetime as dt
import json
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import redis

from benchmarks.contenders import Bridge
from benchmarks.generator import Load, request
from benchmarks.table import Setting
from bridge.auth.api_keys import new_key
from bridge.bootstrap.auth import api_key_store_at
from schemas.client import Client
from tests.servers import wait_until

LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
LOG_BATCH = "/api/2.0/mlflow/runs/log-batch"
_EPOCH = 1_700_000_000_000


def metric_calls(url: str, runs: list[str], count: int, *, begin: int = 0) -> list[bytes]:
    """Return requests that each log one value, spread over the runs."""
    return [
        request("POST", url + LOG_METRIC, metric(runs[step % len(runs)], step)) for step in range(begin, begin + count)
    ]


def metric(run_id: str, step: int) -> bytes:
    """Return the body that logs one value."""
    return json.dumps(
        {"run_id": run_id, "key": "m", "value": step / 8, "step": step, "timestamp": _EPOCH + step}
    ).encode()


def ok(load: Load) -> Load:
    """Return the load result after checking that each response has status 200."""
    assert set(load.statuses) == {200}, load.statuses
    return load


def medians(
    setting: Setting, measures: Mapping[str, Callable[[int], float]], *, warm_up: bool = False
) -> dict[str, float]:
    """Run each measure once per round, the contenders in turn, and return the median of each.

    The median of three rounds excludes start-up costs; a single round needs a warm-up.
    """
    if warm_up and setting.rounds == 1 and not setting.smoke:
        for name, measure in measures.items():
            setting.show_progress(f"warm-up: {name}")
            measure(-1)
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(setting.rounds):
        for name, measure in measures.items():
            setting.show_progress(f"round {number + 1} of {setting.rounds}: {name}")
            found[name].append(measure(number))
    return {name: statistics.median(values) for name, values in found.items()}


def batch(run_id: str, begin: int, *, count: int = 1000) -> bytes:
    """Return the body of a ``log-batch`` call with this number of values."""
    metrics = [
        {"key": "m", "value": step / 8, "step": step, "timestamp": _EPOCH + step}
        for step in range(begin, begin + count)
    ]
    return json.dumps({"run_id": run_id, "metrics": metrics}).encode()


def drained(bridge: Bridge) -> None:
    """Wait until nothing is pending."""
    client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
    ready = [f"bridge:{{p{number:02}}}:ready" for number in range(16)]
    wait_until(lambda: not client.exists(*ready), timeout=300, every=0.01)
    client.close()


def key_for(bridge: Bridge, client: Client) -> str:
    """Return a new API key for a client."""
    ring, key = api_key_store_at(bridge.store_url), new_key()
    ring.put_client(client)
    ring.add_key(client.name, key, now=dt.datetime.now(dt.UTC), expires_at=None)
    return key.text
