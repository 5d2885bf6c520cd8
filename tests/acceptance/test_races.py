# SPDX-License-Identifier: Apache-2.0
"""Writers that make the same row of MLflow's database at once: one of them is first, and none is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.system import System

RUNS = 8


def dataset(name: str) -> dict[str, Any]:
    return {"dataset": {"name": name, "digest": "x", "source_type": "local", "source": "{}"}}


def new_experiment(bridge: System) -> str:
    url = f"{bridge.url}/api/2.0/mlflow/experiments/create"
    return str(requests.post(url, json={"name": f"race {uuid4().hex}"}, timeout=30).json()["experiment_id"])


def new_run(bridge: System, experiment_id: str) -> str:
    url = f"{bridge.url}/api/2.0/mlflow/runs/create"
    answer = requests.post(url, json={"experiment_id": experiment_id}, timeout=30)
    return str(answer.json()["run"]["info"]["run_id"])


@pytest.mark.parametrize("round_", range(4))
def test_runs_of_one_experiment_log_the_same_datasets_at_once(bridge: System, round_: int) -> None:
    """A sweep, or autolog. MLflow answers 400 to all but one, with the UNIQUE constraint of its database."""
    experiment_id = new_experiment(bridge)
    runs = [new_run(bridge, experiment_id) for _ in range(RUNS)]
    names = [f"shared-{round_}-{number}" for number in range(2)]

    def log(run_id: str) -> str:
        body = {"run_id": run_id, "datasets": [dataset(name) for name in names]}
        return bridge.log("log-inputs", body).headers["Job-Id"]

    with ThreadPoolExecutor(RUNS) as pool:
        jobs = list(pool.map(log, runs))

    assert [bridge.job(job_id)["status"] for job_id in jobs] == ["delivered"] * RUNS
    for run_id in runs:
        inputs = bridge.run(run_id)["inputs"]["dataset_inputs"]
        assert sorted(each["dataset"]["name"] for each in inputs) == names


def test_runs_by_name_of_one_new_experiment_are_created_at_once(bridge: System) -> None:
    experiment, names = f"race {uuid4().hex}", [f"race/{uuid4().hex}" for _ in range(RUNS)]

    def create(name: str) -> str:
        body = {"run": name, "experiment_name": experiment}
        answer = requests.post(f"{bridge.url}/v1/runs", json=body, headers={"Prefer": "wait=30"}, timeout=60)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["run_id"])

    with ThreadPoolExecutor(RUNS) as pool:
        runs = list(pool.map(create, names))

    assert len(set(runs)) == RUNS
    assert len({bridge.run(run_id)["info"]["experiment_id"] for run_id in runs}) == 1


def test_one_tag_and_one_param_of_many_at_once(bridge: System) -> None:
    run_id = bridge.create_run()

    def log(number: int) -> list[str]:
        tag = {"run_id": run_id, "key": "t", "value": f"{number}"}
        param = {"run_id": run_id, "key": "p", "value": "v"}
        return [bridge.log(call, body).headers["Job-Id"] for call, body in (("set-tag", tag), ("log-parameter", param))]

    with ThreadPoolExecutor(RUNS) as pool:
        jobs = [job_id for found in pool.map(log, range(RUNS)) for job_id in found]

    assert {bridge.job(job_id)["status"] for job_id in jobs} == {"delivered"}
