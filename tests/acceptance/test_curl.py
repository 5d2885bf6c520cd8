# SPDX-License-Identifier: Apache-2.0
"""Plain curl against real processes."""

import json
import re
import subprocess
from pathlib import Path

from tests.servers import clean_environ
from tests.system import LOG_BATCH, System
from tests.upstream_faults import Answer, Delay

TRY_IT = Path(__file__).parents[2] / "docs" / "try-it.sh"


def run_try_it(url: str, *, key: str = "") -> str:
    """Run the script of the README and return what it printed, having checked what it read back."""
    environ = clean_environ() | ({"MLFLOW_TRACKING_TOKEN": key} if key else {})
    done = subprocess.run([TRY_IT, url], env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    head, _, read_back = done.stdout.partition("read back from MLflow:\n")

    assert re.findall(r"job +\S+ +(\w+)", head) == ["delivered"] * 5
    history, end = json.JSONDecoder().raw_decode(read_back)
    assert [(m["value"], m["step"], m["timestamp"]) for m in history["metrics"]] == [
        (0.25, 1, 1700000000000),
        (0.125, 2, 1700000001000),
    ]
    run = json.loads(read_back[end:])["run"]["data"]
    assert {(p["key"], p["value"]) for p in run["params"]} == {("lr", "0.1"), ("depth", "3")}
    assert {("team", "red"), ("stage", "dev")} <= {(t["key"], t["value"]) for t in run["tags"]}
    assert {m["key"]: m["value"] for m in run["metrics"]} == {"loss": 0.125, "acc": 0.5}
    return done.stdout


def test_the_script_of_the_readme_ends_where_upstream_creates_no_run(bridge: System) -> None:
    bridge.front.set_fault(Answer(503, {"Content-Type": "application/json"}, b'{"message": "in maintenance"}'))

    done = subprocess.run([TRY_IT, bridge.url], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "no run was created: " in done.stderr
    assert "maintenance" in done.stderr
    assert done.stdout == ""


def test_what_curl_logs_is_read_back_through_a_front_that_checks_every_signature(bridge: System) -> None:
    before = len(bridge.front.calls)

    run_try_it(bridge.url)

    calls = bridge.front.calls[before:]
    assert {call.status for call in calls} == {200}
    assert all("authorization" in call.headers for call in calls)


def test_a_batch_that_is_refused_costs_only_the_guilty_write(bridge: System) -> None:
    run_id = bridge.create_run()
    first = bridge.log("log-parameter", {"run_id": run_id, "key": "p", "value": "1"}).headers["Job-Id"]
    assert bridge.job(first)["status"] == "delivered"

    # While one call is slow, the writes behind it gather and go out as one batch.
    bridge.front.script(Delay(1))
    good = [
        bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": i, "step": i}).headers["Job-Id"]
        for i in range(5)
    ]
    conflict = bridge.log("log-parameter", {"run_id": run_id, "key": "p", "value": "2"}).headers["Job-Id"]
    after = bridge.log("set-tag", {"run_id": run_id, "key": "t", "value": "v"}).headers["Job-Id"]

    assert [bridge.job(job)["status"] for job in [*good, after]] == ["delivered"] * 6
    dead_lettered = bridge.job(conflict)
    assert dead_lettered["status"] == "dead"
    assert dead_lettered["upstream"]["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "already logged with value='1'" in dead_lettered["upstream"]["message"]
    assert len(bridge.history(run_id, "m")) == 5


def test_writes_of_one_run_are_merged_into_one_call_while_upstream_is_busy(bridge: System) -> None:
    run_id = bridge.create_run()
    before = len(bridge.front.calls)

    jobs = [
        bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": i, "step": i}).headers["Job-Id"]
        for i in range(200)
    ]

    assert bridge.job(jobs[-1])["status"] == "delivered"
    calls = [call for call in bridge.front.calls[before:] if "/runs/log-" in call.path]
    assert len(calls) < 100
    assert any(call.path == LOG_BATCH for call in calls)
    assert sorted(point["step"] for point in bridge.history(run_id, "m")) == list(range(200))
