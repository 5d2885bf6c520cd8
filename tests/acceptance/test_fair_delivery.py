# SPDX-License-Identifier: Apache-2.0
"""A client with hundreds of lanes keeps another one's write waiting for a few calls, not for hundreds."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from bridge.dispatch import queue_of
from bridge.dispatch.celery_dispatch import QUEUES
from bridge.redis_store.outbox import connect
from tests.acceptance.test_access import key_of
from tests.servers import wait_until
from tests.system import System, system
from tests.upstream_faults import Answer

#: Minutes of deliveries.
pytestmark = pytest.mark.full


LANES = 400


@pytest.fixture
def guarded(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    with system(mlflow_url, short_dir / "fair", workers=1, settings={"BRIDGE_AUTH": "keys"}) as running_system:
        running_system.front.set_fault(Answer(200, {"Content-Type": "application/json"}, b"{}"))
        yield running_system


def log(bridge: System, key: str, runs: list[str]) -> None:
    writes = [{"op": "log-metric", "run_id": run, "key": "m", "value": 1, "timestamp": 1} for run in runs]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = requests.post(f"{bridge.url}/v1/writes", json.dumps({"writes": writes}), headers=headers, timeout=60)
    assert answer.status_code == 202, answer.text


def test_one_write_passes_hundreds_of_lanes_of_a_greedy_client(guarded: System) -> None:
    [worker] = guarded.workers
    greedy, other = key_of(guarded, "greedy"), key_of(guarded, "other")
    assert queue_of("greedy") != queue_of("other")
    broker = connect(guarded.broker_url, timeout=dt.timedelta(seconds=5), connections=2)
    worker.stop()

    log(guarded, greedy, [f"{number:032x}" for number in range(LANES)])
    wait_until(lambda: broker.llen("{bridge-broker}:" + QUEUES[queue_of("greedy")]) == LANES)
    log(guarded, other, ["f" * 32])
    worker.start()

    calls = guarded.front.wait_for_calls(LANES + 1, timeout=60)
    before = [b"f" * 32 in call.body for call in calls].index(True)
    # What a worker has in hand at a time, and some that it has taken from each line before it saw this one's.
    assert before < LANES / 8
