# SPDX-License-Identifier: Apache-2.0
"""``runs/update`` answers the run, as MLflow does; no other queued call has anything to answer."""

import threading
from typing import Any

import pytest
from mlflow.protos import databricks_pb2, service_pb2
from werkzeug.test import Client

from bridge.bootstrap.processes import build_worker
from bridge.config.environment import read_settings
from schemas.endpoints import ENDPOINTS
from tests.factories import RUN

UPDATE = "/api/2.0/mlflow/runs/update"


@pytest.mark.parametrize(
    ("update", "info"),
    [
        ({"status": "FINISHED", "end_time": 7}, {"status": "FINISHED", "end_time": 7}),
        ({"status": 4}, {"status": "FAILED"}),
        ({"run_name": "new"}, {"run_name": "new"}),
        ({"run_name": "", "end_time": 0}, {}),
    ],
)
def test_without_waiting_it_is_what_the_update_says(http: Client, update: dict[str, Any], info: dict[str, Any]) -> None:
    answer = http.post(UPDATE, json={"run_id": RUN, **update})

    assert (answer.status_code, answer.json) == (200, {"run_info": {"run_id": RUN, "run_uuid": RUN, **info}})


def test_of_a_run_by_name_the_id_is_left_out(http: Client) -> None:
    answer = http.post(UPDATE, json={"run": "nightly/1", "status": "FINISHED"})

    assert answer.json == {"run_info": {"status": "FINISHED"}}


def test_a_repeat_with_its_key_is_answered_in_the_same_way(http: Client) -> None:
    first, second = (
        http.post(UPDATE, json={"run_id": RUN, "status": "KILLED"}, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )

    assert second.headers["Idempotency-Replayed"] == "true"
    assert first.json == second.json


def test_who_waits_is_answered_what_upstream_has(http: Client, environ: dict[str, str]) -> None:
    created = http.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "run_name": "named"}).json
    assert created
    run_id = created["run"]["info"]["run_id"]
    worker = build_worker(read_settings(environ))
    answers: list[Any] = []

    def update() -> None:
        body = {"run_id": run_id, "status": "FINISHED", "end_time": 7}
        answers.append(http.post(UPDATE, json=body, headers={"Prefer": "wait=20"}).json)

    client = threading.Thread(target=update)
    client.start()
    while client.is_alive():
        worker.delivery.deliver(run_id)
        client.join(0.01)
    worker.close()

    assert answers[0]["run_info"].items() >= {"status": "FINISHED", "end_time": 7, "run_name": "named"}.items()
    assert answers[0]["run_info"]["artifact_uri"]


def test_no_other_queued_call_of_mlflow_has_fields_in_its_answer() -> None:
    """By MLflow's own definition of each call."""
    calls = {
        (endpoint.method, endpoint.path): message
        for message in service_pb2.MlflowService.DESCRIPTOR.methods
        for endpoint in message.GetOptions().Extensions[databricks_pb2.rpc].endpoints
    }
    with_fields = set()
    for queued in (each for each in ENDPOINTS if each.op != "-"):
        path = "/mlflow" + queued.path.partition("/mlflow")[2]
        message = calls.get((queued.method, path))
        if message and message.input_type.nested_types_by_name["Response"].fields:
            with_fields.add(queued.op)
    assert with_fields == {"update"}
