# SPDX-License-Identifier: Apache-2.0
"""One curl call brings ten thousand writes while upstream is down; once it is back, all are there, once, in order."""

import gzip
import json
import subprocess
from pathlib import Path

from tests.system import System
from tests.upstream_faults import Answer

COUNT = 10_000


def test_ten_thousand_writes_in_one_call_while_upstream_is_down(bridge: System, tmp_path: Path) -> None:
    run_id = bridge.create_run()
    metrics = (
        {"op": "log-metric", "run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": 1_000_000 + step}
        for step in range(COUNT)
    )
    end = {"op": "update", "run_id": run_id, "status": "FINISHED", "end_time": 1_700_000_000_000}
    night = tmp_path / "night.ndjson.gz"
    night.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in (*metrics, end)).encode()))
    bridge.front.set_fault(Answer(503, {"Content-Type": "text/plain"}, b"down"))

    sent = subprocess.run(
        [
            *("curl", "-sS", "--fail-with-body", "--data-binary", f"@{night}", f"{bridge.url}/v1/writes"),
            *(
                "-H",
                "Content-Type: application/x-ndjson",
                "-H",
                "Content-Encoding: gzip",
                "-H",
                "Idempotency-Key: night",
            ),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    jobs = json.loads(sent.stdout)["jobs"]
    bridge.front.wait_for_calls(1, matching=lambda _, path: path.endswith("/log-batch"))
    assert bridge.history(run_id, "m") == []
    bridge.front.set_fault(None)

    assert len(jobs) == COUNT + 1
    assert bridge.job(jobs[-1]["job_id"], wait=60)["status"] == "delivered"
    history = bridge.history(run_id, "m")
    assert [(value["step"], value["value"]) for value in history] == [(step, float(step)) for step in range(COUNT)]
    assert bridge.run(run_id)["info"]["status"] == "FINISHED"
