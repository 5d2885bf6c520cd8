# SPDX-License-Identifier: Apache-2.0
"""Thousands of single writes, and a worker that is killed in their middle."""

import http.client
import json
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.amounts import amount
from tests.system import System

#: Minutes of deliveries.
pytestmark = pytest.mark.full


WRITES = amount(2_000, 10_000)
RUNS = 50
CLIENTS = 8
EPOCH = 1_700_000_000_000


def test_every_write_is_delivered_once_and_in_order_although_a_worker_is_killed(bridge: System) -> None:
    runs = [bridge.create_run() for _ in range(RUNS)]
    before = len(bridge.front.calls)
    third_sent = threading.Event()

    with ThreadPoolExecutor(CLIENTS) as clients:
        futures = [clients.submit(log_share, bridge.url, runs, client, third_sent) for client in range(CLIENTS)]
        assert third_sent.wait(120)
        bridge.workers[0].kill()
        answered = [status for future in futures for status in future.result()]
    bridge.workers[0].start()
    bridge.drained(timeout=120)

    assert answered == [200] * WRITES
    for number, run_id in enumerate(runs):
        expected = [(step, float(step), EPOCH + step) for step in range(number, WRITES, RUNS)]
        stored = [(point["step"], point["value"], point["timestamp"]) for point in bridge.history(run_id, "m")]
        assert sorted(stored) == expected
    calls = [call for call in bridge.front.calls[before:] if "/runs/log-" in call.path]
    assert len(calls) < WRITES / 4
    assert inversions(bridge, before, runs) == 0


def log_share(url: str, runs: list[str], client: int, third_sent: threading.Event) -> list[int]:
    """Send one client's share of the writes; the writes of one run all come from one client, in order of step."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    statuses = []
    mine = [step for step in range(WRITES) if step % RUNS % CLIENTS == client]
    for sent, step in enumerate(mine):
        body = {
            "run_id": runs[step % RUNS],
            "key": "m",
            "value": step,
            "step": step,
            "timestamp": EPOCH + step,
        }
        connection.request(
            "POST", "/api/2.0/mlflow/runs/log-metric", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        if sent == len(mine) // 3:
            third_sent.set()
    connection.close()
    return statuses


def inversions(bridge: System, before: int, runs: list[str]) -> int:
    """How often a step reached MLflow for the first time after a later step of its run had."""
    latest: dict[str, int] = defaultdict(lambda: -1)
    seen: set[tuple[str, int]] = set()
    count = 0
    for call in bridge.front.calls[before:]:
        if call.upstream_status != 200 or "/runs/log-" not in call.path:
            continue
        body = json.loads(call.body)
        for metric in body.get("metrics", [body]):
            point = (body["run_id"], metric.get("step", 0))
            if point not in seen and body["run_id"] in runs:
                seen.add(point)
                count += point[1] < latest[point[0]]
                latest[point[0]] = max(latest[point[0]], point[1])
    assert len(seen) == WRITES
    return count
