# SPDX-License-Identifier: Apache-2.0
"""Tags that are deleted, inputs, outputs and the end of a run: queued behind what was logged, and done once."""

import pytest

from tests.system import System
from tests.upstream_faults import CutAfterCommit

DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}


def log(bridge: System, call: str, **fields: object) -> str:
    answer = bridge.log(call, fields)
    assert answer.status_code == 200, answer.text
    return answer.headers["Job-Id"]


def test_a_run_is_ended_after_its_metrics_and_is_read_as_ended(bridge: System) -> None:
    run_id = bridge.create_run()
    for step in range(50):
        log(bridge, "log-metric", run_id=run_id, key="m", value=step, step=step)
    log(bridge, "set-tag", run_id=run_id, key="t", value="v")
    log(bridge, "log-inputs", run_id=run_id, datasets=[{"dataset": DATASET}])
    log(bridge, "delete-tag", run_id=run_id, key="t")
    log(bridge, "update", run_id=run_id, status="FINISHED", end_time=1700000000000, run_name="done")

    # Through the bridge, which waits for what was logged.
    answer = bridge.http.get(f"{bridge.url}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=30)

    run = answer.json()["run"]
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "done")
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "d"
    assert "t" not in {tag["key"] for tag in run["data"]["tags"]}
    assert len(bridge.history(run_id, "m")) == 50
    assert "Bridge-Pending-Writes" not in answer.headers


@pytest.mark.parametrize("call", ["delete-tag", "outputs"])
def test_what_can_be_done_but_once_is_done_although_the_answer_was_lost(bridge: System, call: str) -> None:
    run_id = bridge.create_run()
    bridge.log("set-tag", {"run_id": run_id, "key": "t", "value": "v"}, Prefer="wait=30")
    bridge.front.script(CutAfterCommit(), matching=lambda _, path: path.endswith(f"/runs/{call}"))
    fields: dict[str, object] = {"key": "t"}
    if call == "outputs":
        body = {"experiment_id": "0", "source_run_id": run_id}
        model = bridge.http.post(f"{bridge.url}/api/2.0/mlflow/logged-models", json=body, timeout=30).json()
        fields = {"models": [{"model_id": model["model"]["info"]["model_id"], "step": 0}]}

    document = bridge.job(log(bridge, call, run_id=run_id, **fields))

    assert document["status"] == "delivered"
    assert document["attempts"] == 2


def test_a_tag_that_was_never_there_is_mlflows_refusal(bridge: System) -> None:
    run_id = bridge.create_run()

    answer = bridge.log("delete-tag", {"run_id": run_id, "key": "never"}, Prefer="wait=30")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_nor_is_it_taken_for_done_behind_a_write_that_was_delivered(bridge: System) -> None:
    run_id = bridge.create_run()
    with bridge.workers[0].frozen(), bridge.workers[1].frozen():
        log(bridge, "log-metric", run_id=run_id, key="m", value=1)
        job_id = log(bridge, "delete-tag", run_id=run_id, key="never")

    document = bridge.job(job_id)

    assert (document["status"], document["upstream"]["status"]) == ("dead", 404)


def test_an_experiment_is_deleted_after_what_was_logged_to_its_runs(bridge: System) -> None:
    api = f"{bridge.url}/api/2.0/mlflow"
    experiment = bridge.http.post(f"{api}/experiments/create", json={"name": "to be deleted"}, timeout=30).json()
    run_id = bridge.http.post(f"{api}/runs/create", json=experiment, timeout=30).json()["run"]["info"]["run_id"]
    last = ""
    for step in range(30):
        last = log(bridge, "log-metric", run_id=run_id, key="m", value=step, step=step)

    deleted = bridge.http.post(f"{api}/experiments/delete", json=experiment, timeout=30)

    assert deleted.status_code == 200, deleted.text
    assert bridge.job(last)["status"] == "delivered"
    assert len(bridge.history(run_id, "m")) == 30
