# SPDX-License-Identifier: Apache-2.0
"""A stop loses nothing, says so while it lasts, and leaves nothing that others have to wait for."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from bridge.config.parsers import duration
from bridge.errors import EX_CONFIG
from bridge.redis_store.metrics import RedisCounterStore
from bridge.redis_store.outbox import connect
from tests.servers import Server, api_with, clean_environ, redis_at, running, script, wait_until, worker_with
from tests.system import System, bridge_environ, stopwatch
from tests.upstream_faults import Delay

#: Whole lives of processes.
pytestmark = pytest.mark.full


METRIC: dict[str, Any] = {"key": "m", "value": 1, "timestamp": 1}


def test_an_api_that_stops_answers_503_for_a_while_and_finishes_what_it_has_begun(
    bridge: System, short_dir: Path
) -> None:
    run_id = bridge.create_run()
    environ = bridge_environ(bridge.store_url, bridge.front) | {"BRIDGE_SHUTDOWN_DELAY": "1500ms"}
    api, url = api_with(environ, short_dir / "stopping")
    accepted: list[str] = []
    told: list[tuple[int, str | None]] = []

    def log_until_gone() -> None:
        with requests.Session() as http, contextlib.suppress(requests.ConnectionError):
            for step in range(100_000):
                body = METRIC | {"run_id": run_id, "step": step}
                answer = http.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=30)
                told.append((answer.status_code, answer.headers.get("Retry-After")))
                if answer.ok:
                    accepted.append(answer.headers["Job-Id"])

    with running(api):
        client = threading.Thread(target=log_until_gone)
        client.start()
        wait_until(lambda: len(accepted) > 20)
        status = api.stop(grace=20)
        client.join(20)

    assert status == 0
    assert not client.is_alive()
    statuses = [status for status, _ in told]
    stopped = statuses.index(503)
    assert set(statuses[:stopped]) == {200}
    assert set(told[stopped:]) == {(503, "5")}
    bridge.drained()
    assert {bridge.job(job_id)["status"] for job_id in accepted} == {"delivered"}


def test_a_worker_that_stops_settles_its_calls_and_gives_its_lanes_back(bridge: System, short_dir: Path) -> None:
    store, store_url = redis_at(short_dir / "stop-store")
    environ = bridge_environ(store_url, bridge.front) | {"BRIDGE_READ_TIMEOUT": "20s"}
    api, url = api_with(environ, short_dir / "stop")
    worker = worker_with(environ, short_dir / "stop", "worker")
    runs = [bridge.create_run() for _ in range(4)]
    bridge.front.set_fault(Delay(2), matching=lambda _, path: "/runs/log-" in path)
    with running(store, worker, api):
        before = len(bridge.front.calls)
        for run_id in runs:
            for step in range(20):
                body = METRIC | {"run_id": run_id, "step": step}
                requests.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=30).raise_for_status()
        bridge.front.wait_for_calls(before + len(runs))
        watch = stopwatch()
        status = worker.stop(grace=30)
        seconds = watch.seconds
        backlogs = [requests.get(f"{url}/v1/runs/{run_id}/backlog", timeout=30).json() for run_id in runs]
        bridge.front.set_fault(None)
        worker.start()
        again = stopwatch()
        wait_until(lambda: requests.get(f"{url}/v1/backlog", timeout=30).json()["lanes"] == 0)

    assert status == 0
    assert seconds < 15
    assert all(backlog["pending"] < 20 for backlog in backlogs), "the call in flight was settled"
    assert not any(backlog["delivering"] or backlog["next_attempt_at"] for backlog in backlogs)
    assert again.seconds < 10, "a lease lasts 26 s"
    for run_id in runs:
        assert sorted(int(point["step"]) for point in bridge.history(run_id, "m")) == list(range(20))


@pytest.mark.parametrize("which", ["api", "worker"])
def test_who_is_told_to_stop_many_times_at_once_stops(bridge: System, short_dir: Path, which: str) -> None:
    """The kernel may tell a child whose parent dies once for each thread of the parent's."""
    directory = short_dir / "many-times"
    environ = bridge_environ(bridge.store_url, bridge.front)
    server = api_with(environ, directory)[0] if which == "api" else worker_with(environ, directory, "worker")
    with running(server):
        for _ in range(200):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGTERM)

        assert server.stop(grace=30) == 0


def test_an_api_that_stops_has_told_of_each_request(bridge: System, short_dir: Path) -> None:
    store, store_url = redis_at(short_dir / "told-store")
    environ = bridge_environ(store_url, bridge.front) | {"BRIDGE_AUTH": "keys"}
    api, url = api_with(environ, short_dir / "told")
    with running(store, api):
        asked = [requests.get(f"{url}/v1/nothing/{number}", timeout=30).status_code for number in range(30)]
        status = api.stop(grace=20)
        counted = RedisCounterStore(connect(store_url, timeout=duration("5s"), connections=1)).read()

    assert (status, asked) == (0, [401] * 30)
    lines = [json.loads(line) for line in api.child.log.read_text().splitlines() if "/v1/nothing/" in line]
    assert [line["path"] for line in lines] == [f"/v1/nothing/{number}" for number in range(30)]
    assert sum(number for (metric, *labels), number in counted.items() if labels == ["rejected", "401"]) == 30


def test_at_level_warning_an_api_tells_of_no_request_and_not_of_its_start(bridge: System, short_dir: Path) -> None:
    environ = bridge_environ(bridge.store_url, bridge.front) | {"BRIDGE_AUTH": "keys", "BRIDGE_LOG_LEVEL": "warning"}
    api, url = api_with(environ, short_dir / "silent")
    with running(api):
        status = requests.get(f"{url}/v1/nothing", timeout=30).status_code
        api.stop(grace=20)

    assert status == 401
    assert api.child.log.read_text() == ""


@pytest.fixture
def plain_store(short_dir: Path) -> Server:
    store, _ = redis_at(short_dir / "plain")
    return store


@pytest.mark.parametrize("command", ["mlflow-bridge-api", "mlflow-bridge-worker", "mlflow-bridge"])
@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("maxmemory-policy", "allkeys-lru", "set it to noeviction"),
        ("appendonly", "no", "a restart of the store loses pending writes"),
    ],
)
def test_a_store_that_would_lose_writes_is_refused_at_the_start(
    plain_store: Server, short_dir: Path, command: str, setting: str, value: str, reason: str
) -> None:
    url = f"unix://{short_dir}/plain/s.sock"
    environ = clean_environ() | {
        "BRIDGE_STORE_URL": url,
        "BRIDGE_UPSTREAM": "http://127.0.0.1:9",
        "BRIDGE_DATA_DIR": str(short_dir / "plain-data"),
        "BRIDGE_PORT": "0",
    }
    with running(plain_store):
        redis.Redis(unix_socket_path=f"{short_dir}/plain/s.sock").config_set(setting, value)
        arguments = [script(command), *(["up"] if command == "mlflow-bridge" else [])]
        process = subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.send_signal(signal.SIGTERM)

    assert process.returncode == EX_CONFIG
    assert reason in output
    assert "Traceback" not in output
