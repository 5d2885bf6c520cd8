# SPDX-License-Identifier: Apache-2.0
"""The bridge's processes before an upstream that never ends a connection by itself.

It takes five seconds: connections of real processes get old in no other way.
"""

import time
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.upstream.connections import IDLE_LIMIT
from tests.ending_upstream import EndingUpstream
from tests.servers import api_with, redis_at, running, worker_with

#: Whole lives of processes.
pytestmark = pytest.mark.full


CREATE, LOG = "/api/2.0/mlflow/experiments/create", "/api/2.0/mlflow/runs/log-metric"


def test_a_connection_that_upstream_may_have_ended_is_not_used_again(short_dir: Path) -> None:
    directory = short_dir / "idle"
    store, store_url = redis_at(directory)
    with EndingUpstream() as upstream:
        environ = {"BRIDGE_STORE_URL": store_url, "BRIDGE_UPSTREAM": upstream.url}
        api, url = api_with(environ, directory)
        with running(store, api, worker_with(environ, directory, "worker")):
            _delivered(url)
            _delivered(url)
            _proxied(url)
            time.sleep(IDLE_LIMIT.total_seconds() + 0.5)
            _proxied(url)
            _delivered(url)

        creates, logs = ([number for number, line in upstream.lines if line.endswith(path)] for path in (CREATE, LOG))
    assert creates[0] != creates[1]
    assert logs[0] == logs[1] != logs[2]


def _proxied(url: str) -> None:
    assert requests.post(url + CREATE, json={"name": "e"}, timeout=30).status_code == 200


def _delivered(url: str) -> None:
    metric: dict[str, Any] = {"run_id": "5" * 32, "key": "m", "value": 1}
    job = requests.post(url + LOG, json=metric, timeout=30).headers["Job-Id"]
    told = requests.get(f"{url}/v1/jobs/{job}", headers={"Prefer": "wait=20"}, timeout=30).json()
    assert told["status"] == "delivered", told
