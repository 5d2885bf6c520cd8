# SPDX-License-Identifier: Apache-2.0
"""A night's batch job in plain curl, while upstream is down: once it is back, all is there, once, in order."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.system import System
from tests.upstream_faults import Answer

COUNT = 10_000
NAME = "nightly-2026-11-20/part-17"


def curl(*arguments: str) -> Any:
    sent = subprocess.run(
        ["curl", "-sS", "--fail-with-body", *arguments], capture_output=True, timeout=60, check=True, text=True
    )
    return json.loads(sent.stdout)


def test_a_run_is_created_by_name_filled_and_ended_while_upstream_is_down(bridge: System, tmp_path: Path) -> None:
    bridge.front.set_fault(Answer(503, {"Content-Type": "text/plain"}, b"down"))
    metrics = (
        {"op": "log-metric", "run": NAME, "key": "m", "value": step, "step": step, "timestamp": 1_000_000 + step}
        for step in range(COUNT)
    )
    night = tmp_path / "night.ndjson.gz"
    night.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in metrics).encode()))
    json_body = ("-H", "Content-Type: application/json", "-d")

    created = curl(*json_body, json.dumps({"run": NAME, "experiment_name": "nightly"}), f"{bridge.url}/v1/runs")
    lines = ("-H", "Content-Type: application/x-ndjson", "-H", "Content-Encoding: gzip", "-H", "Idempotency-Key: night")
    jobs = curl(*lines, "--data-binary", f"@{night}", f"{bridge.url}/v1/writes")["jobs"]
    end = json.dumps({"run": NAME, "status": "FINISHED", "end_time": 1_700_000_000_000})
    curl(*json_body, end, f"{bridge.url}/api/2.0/mlflow/runs/update")
    waiting = curl(f"{bridge.url}/v1/runs/{NAME}")
    backlog = curl(f"{bridge.url}/v1/runs/{NAME}/backlog")
    bridge.front.wait_for_calls(1, matching=lambda _, path: path.endswith("/experiments/get-by-name"))
    bridge.front.set_fault(None)

    assert (created["run"], created["state"], created["run_id"]) == (NAME, "pending", None)
    assert (waiting["state"], waiting["run_id"], len(jobs), backlog["pending"]) == ("pending", None, COUNT, COUNT + 2)
    run_id = curl("-H", "Prefer: wait=60", f"{bridge.url}/v1/runs/{NAME}")["run_id"]
    assert bridge.job(jobs[-1]["job_id"], wait=60)["status"] == "delivered"
    bridge.drained()
    run = bridge.run(run_id)
    assert (run["info"]["run_name"], run["info"]["status"]) == (NAME, "FINISHED")
    history = bridge.history(run_id, "m")
    assert [(value["step"], value["value"]) for value in history] == [(step, float(step)) for step in range(COUNT)]
