# SPDX-License-Identifier: Apache-2.0
"""A pause of deliveries, with real processes: nothing is delivered, nothing is refused, and it outlives them all."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.servers import clean_environ, wait_until
from tests.system import System, system
from tests.upstream_faults import Answer

WHY = "MLflow is upgraded"
DOWN = Answer(503, {"x-amzn-RequestId": "upstream-1"}, b"<html>no</html>")


@pytest.fixture(scope="module")
def own_system(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    with system(mlflow_url, short_dir / "paused") as running:
        yield running


@pytest.fixture
def paused(own_system: System) -> Iterator[System]:
    """A bridge of its own, that no other test shares."""
    own_system.front.set_fault(None)
    yield own_system
    own_system.front.set_fault(None)
    command(own_system, "resume")


def command(bridge: System, *arguments: str, status: int = 0) -> str:
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": bridge.url}
    done = forked.run("mlflow-bridge", "upstream", *arguments, environ=environ)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def probe_of(bridge: System) -> str:
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": bridge.url}
    return forked.run("mlflow-bridge", "upstream", "probe", environ=environ).stdout


def logged(bridge: System, run_id: str, count: int) -> list[str]:
    answers = [
        bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": i, "step": i, "timestamp": 1 + i})
        for i in range(count)
    ]
    assert [answer.status_code for answer in answers] == [200] * count
    return [answer.headers["Job-Id"] for answer in answers]


def writes_sent(bridge: System) -> int:
    return sum("/runs/log-" in call.path for call in bridge.front.calls)


@pytest.mark.full
def test_nothing_is_delivered_in_a_pause_through_kills_of_all_processes_and_then_everything(paused: System) -> None:
    runs = [paused.create_run() for _ in range(5)]
    command(paused, "pause", "--why", WHY)
    before = writes_sent(paused)
    jobs = [job for run_id in runs for job in logged(paused, run_id, 4)]
    # A worker has claimed each lane, and released it.
    wait_until(lambda: all("paused" in str(backlog(paused, run_id)["error"]) for run_id in runs))
    read = paused.http.get(f"{paused.url}/api/2.0/mlflow/runs/get?run_id={runs[0]}", timeout=30)

    for server in (paused.api, *paused.workers):
        server.kill()
    for server in (paused.api, *paused.workers):
        server.start()
    more = [job for run_id in runs for job in logged(paused, run_id, 2)]
    ready = paused.ready()
    shown = command(paused, "show")
    waiting = [backlog(paused, run_id) for run_id in runs]
    in_pause = writes_sent(paused) - before
    resumed_at = dt.datetime.now(dt.UTC)
    command(paused, "resume")

    statuses = [paused.job(job)["status"] for job in (*jobs, *more)]
    settled = [dt.datetime.fromisoformat(paused.job(job)["settled_at"]) for job in (*jobs, *more)]
    assert in_pause == 0
    assert read.status_code == 200
    assert (ready["status"], ready["upstream"]["reachable"], ready["workers"]["alive"] >= 1) == ("degraded", True, True)
    assert f"until they are resumed: {WHY}" in shown
    assert [(each["pending"], each["attempts"]) for each in waiting] == [(6, 0)] * 5
    assert statuses == ["delivered"] * 30
    assert max(settled) - resumed_at < dt.timedelta(seconds=10)
    assert all(len(paused.history(run_id, "m")) == 4 for run_id in runs), "steps 0 and 1 came twice, as the same"


def backlog(bridge: System, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = bridge.http.get(f"{bridge.url}/v1/runs/{run_id}/backlog", timeout=30).json()
    return found


def test_a_pause_ends_by_itself(paused: System) -> None:
    run_id = paused.create_run()
    before = writes_sent(paused)
    document = json.loads(command(paused, "pause", "--why", WHY, "--for", "4s", "--json"))
    [job] = logged(paused, run_id, 1)
    wait_until(lambda: "paused" in str(backlog(paused, run_id)["error"]))
    in_pause = writes_sent(paused) - before

    settled = paused.job(job)

    assert in_pause == 0
    assert settled["status"] == "delivered"
    until = dt.datetime.fromisoformat(document["gate"]["paused"]["until"])
    assert dt.timedelta() <= dt.datetime.fromisoformat(settled["settled_at"]) - until < dt.timedelta(seconds=5)
    assert "not paused" in command(paused, "show")


def test_failed_calls_are_listed_with_what_finds_them_in_each_log(paused: System) -> None:
    run_id = paused.create_run()
    paused.front.set_fault(DOWN, matching=lambda _, path: "/runs/log-" in path)
    answer = paused.log("log-metric", {"run_id": run_id, "key": "m", "value": 1}, **{"X-Request-Id": "client-1"})

    def listed() -> list[dict[str, Any]]:
        lines = command(paused, "failures", "--json").splitlines()
        return [each for each in map(json.loads, lines) if each["lane"] == run_id]

    failures = wait_until(listed)
    # Its reads are answered, if not at once: MLflow itself sends 503 while its database is busy.
    probed = wait_until(lambda: "upstream answers" in probe_of(paused))
    paused.front.set_fault(None)

    assert answer.status_code == 200
    assert {name: failures[0][name] for name in ("call", "status", "outcome", "request_id", "upstream_request_id")} == {
        "call": "POST runs/log-metric",
        "status": 503,
        "outcome": "unavailable",
        "request_id": "client-1",
        "upstream_request_id": "upstream-1",
    }
    assert "503" in failures[0]["message"]
    assert probed
    assert paused.job(answer.headers["Job-Id"])["status"] == "delivered"
    wait_until(lambda: "unavailable" in command(paused, "show"))


def test_a_probe_of_an_upstream_that_fails_says_so_in_its_exit_status(paused: System) -> None:
    paused.front.set_fault(DOWN)
    # Probes within two seconds get one result, which may be that of an earlier test.
    wait_until(lambda: "upstream does not answer" in probe_of(paused))

    said = command(paused, "probe", status=1)

    assert "fix:" in said
    assert "upstream does not answer" in said


def test_a_pause_needs_a_reason_and_one_end_at_most(paused: System) -> None:
    command(paused, "pause", status=2)
    command(paused, "pause", "--why", WHY, "--for", "1h", "--until", "2090-01-01T00:00Z", status=2)
    command(paused, "pause", "--why", WHY, "--for", "soon", status=2)
    command(paused, "pause", "--why", WHY, "--until", "2020-01-01T00:00Z", status=1)

    assert "not paused" in command(paused, "show")
