# SPDX-License-Identifier: Apache-2.0
"""Runs under names that clients choose: each is created exactly once, whatever happens, and is read like any other."""

import threading
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.system import System
from tests.upstream_faults import CutAfterCommit, Hang

CREATE = "/api/2.0/mlflow/runs/create"


def post(bridge: System, path: str, body: Any, **headers: str) -> requests.Response:
    return requests.post(bridge.url + path, json=body, headers=headers, timeout=60)


def runs_named(bridge: System, name: str, experiment_id: str = "0") -> list[str]:
    """The ids of all runs that MLflow itself has under this name."""
    wanted: Any = {
        "experiment_ids": [experiment_id],
        "filter": f"tags.`mlflow-bridge.run` = '{name}'",
        "run_view_type": "ALL",
        "max_results": 100,
    }
    found = requests.post(f"{bridge.mlflow_url}/api/2.0/mlflow/runs/search", json=wanted, timeout=30).json()
    return [run["info"]["run_id"] for run in found.get("runs", [])]


def is_create(_method: str, path: str) -> bool:
    return path == CREATE


def test_a_run_is_created_once_although_the_answer_was_lost(bridge: System) -> None:
    bridge.front.script(CutAfterCommit(), matching=is_create)

    answer = post(bridge, "/v1/runs", {"run": "lost/answer"}, Prefer="wait=30")

    assert answer.status_code == 201, answer.text
    assert runs_named(bridge, "lost/answer") == [answer.json()["run_id"]]
    assert bridge.job(answer.json()["job_id"])["attempts"] == 2


@pytest.mark.full
def test_a_run_is_created_once_although_its_worker_was_killed(bridge: System) -> None:
    bridge.front.script(Hang(30, after_commit=True), matching=is_create)
    earlier = sum(is_create(call.method, call.path) for call in bridge.front.calls)
    job_id = post(bridge, "/v1/runs", {"run": "killed/worker"}).json()["job_id"]
    post(bridge, "/api/2.0/mlflow/runs/log-metric", {"run": "killed/worker", "key": "m", "value": 1, "timestamp": 1})
    bridge.front.wait_for_calls(earlier + 1, matching=is_create)

    for worker in bridge.workers:
        worker.kill()
        worker.start()

    assert bridge.job(job_id, wait=60)["status"] == "delivered"
    [run_id] = runs_named(bridge, "killed/worker")
    bridge.drained()
    assert len(bridge.history(run_id, "m")) == 1


def test_who_asks_for_a_name_that_has_a_run_is_told_of_it(bridge: System) -> None:
    answers: list[requests.Response] = []

    def ask() -> None:
        answers.append(post(bridge, "/v1/runs", {"run": "asked-for.often"}, Prefer="wait=30"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(runs_named(bridge, "asked-for.often")) == 1


def test_a_read_by_the_id_waits_for_what_was_written_by_the_name(bridge: System) -> None:
    name = "read-by-id"
    run_id = post(bridge, "/v1/runs", {"run": name, "tags": [{"key": "team", "value": "a"}]}, Prefer="wait=30").json()[
        "run_id"
    ]
    for step in range(20):
        post(bridge, "/api/2.0/mlflow/runs/log-metric", {"run": name, "key": "m", "value": step, "step": step})
    post(bridge, "/ajax-api/2.0/mlflow/runs/set-tag", {"run": name, "key": "t", "value": "last"})

    answer = bridge.http.get(f"{bridge.url}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=30)

    run = answer.json()["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["team"], tags["t"], tags["mlflow-bridge.run"]) == ("a", "last", name)
    assert run["data"]["metrics"][0]["step"] == 19
    assert "Bridge-Pending-Writes" not in answer.headers


def test_an_experiment_that_is_not_there_is_created_by_its_name_once(bridge: System) -> None:
    jobs = [
        post(bridge, "/v1/runs", {"run": f"of-new/{part}", "experiment_name": "new one"}).json() for part in range(6)
    ]

    assert {bridge.job(job["job_id"])["status"] for job in jobs} == {"delivered"}
    url = f"{bridge.mlflow_url}/api/2.0/mlflow/experiments/get-by-name"
    experiment = requests.get(url, params={"experiment_name": "new one"}, timeout=30).json()["experiment"]
    found = [runs_named(bridge, f"of-new/{part}", experiment["experiment_id"]) for part in range(6)]
    assert [len(runs) for runs in found] == [1] * 6


def test_a_run_that_mlflow_refuses_is_dead_and_so_is_what_was_written_to_it_until_it_is_mended(bridge: System) -> None:
    name = "in-no-experiment"
    refused = post(bridge, "/v1/runs", {"run": name, "experiment_id": "987654321"}, Prefer="wait=30")
    metric = post(bridge, "/api/2.0/mlflow/runs/log-metric", {"run": name, "key": "m", "value": 1}, Prefer="wait=30")

    assert (refused.status_code, refused.json()["state"]) == (202, "dead")
    assert (metric.status_code, metric.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    dead = requests.get(f"{bridge.url}/v1/jobs", params={"run": name, "status": "dead"}, timeout=30).json()["jobs"]
    assert [(job["op"], job["status"]) for job in dead] == [("create-run", "dead"), ("log-metric", "dead")]
    run_id = post(bridge, "/v1/runs", {"run": name}, Prefer="wait=30").json()["run_id"]
    [letter] = [
        each
        for each in requests.get(f"{bridge.url}/v1/dead-letters?lane={dead[1]['lane']}", timeout=30).json()["letters"]
        if each["op"] == "log-metric"
    ]
    quoted = quote(letter["letter_id"], safe="")
    replayed = post(bridge, f"/v1/dead-letters/{quoted}/replay", {})
    assert replayed.status_code == 202, replayed.text
    assert bridge.job(replayed.json()["job_id"])["status"] == "delivered"
    assert len(bridge.history(run_id, "m")) == 1
