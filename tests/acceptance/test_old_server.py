# SPDX-License-Identifier: Apache-2.0
"""Before MLflow 2.16.2, which SageMaker offers, nothing is cut unseen, and what it lacks is answered as it does."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.servers import (
    Server,
    api_with,
    clean_environ,
    free_port,
    get_ok,
    process,
    redis_at,
    running,
    wait_until,
    worker_with,
)

#: Another MLflow, or the whole of one.
pytestmark = pytest.mark.full


MLFLOW = Path(sys.prefix) / "old-server/bin/mlflow"
API = "/api/2.0/mlflow"


def old_mlflow_at(directory: Path) -> tuple[Server, str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(MLFLOW), "server", f"--port={port}", f"--backend-store-uri=sqlite:///{directory}/old.db"]
    command += ["--workers=1", f"--artifacts-destination={directory}/artifacts"]
    return Server(process("old-mlflow", command, clean_environ(), directory, lambda: get_ok(f"{url}/health"))), url


@dataclass
class Old:
    """The bridge, and the old server itself."""

    url: str
    mlflow_url: str

    def ask(self, path: str, body: Any, *, method: str = "POST", **headers: str) -> requests.Response:
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def create_run(self) -> str:
        answer = self.ask(f"{API}/runs/create", {"experiment_id": "0"})
        return str(answer.json()["run"]["info"]["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        url = f"{self.mlflow_url}{API}/runs/get"
        found: dict[str, Any] = requests.get(url, params={"run_id": run_id}, timeout=30).json()["run"]
        return found


@pytest.fixture(scope="module")
def old(short_dir: Path) -> Iterator[Old]:
    directory = short_dir / "old"
    directory.mkdir()
    mlflow, mlflow_url = old_mlflow_at(directory)
    store, store_url = redis_at(directory)
    environ = {"BRIDGE_STORE_URL": store_url, "BRIDGE_UPSTREAM": mlflow_url}
    api, url = api_with(environ, directory)
    with running(mlflow, store, worker_with(environ, directory, "worker"), api):
        # The api asks upstream once both are there; it may have been the first.
        wait_until(lambda: "upstream_examined" in api.child.log.read_text(), timeout=60)
        yield Old(url, mlflow_url)


def test_a_tag_is_kept_whole_or_refused(old: Old) -> None:
    run_id = old.create_run()
    longest = {"run_id": run_id, "key": "longest", "value": "x" * 5000}

    kept = old.ask(f"{API}/runs/set-tag", longest, Prefer="wait=20")
    refused = old.ask(f"{API}/runs/set-tag", longest | {"value": "x" * 5001})
    tags = [{"key": "a", "value": "b"}, {"key": "c", "value": "ü" * 5001}]
    of_batch = old.ask(f"{API}/runs/log-batch", {"run_id": run_id, "tags": tags})

    assert kept.status_code == 200, kept.text
    assert {"key": "longest", "value": "x" * 5000} in old.run(run_id)["data"]["tags"]
    for answer, at in ((refused, "'value'"), (of_batch, "'tags[1].value'")):
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert answer.json()["message"].startswith(f"{at} exceeds the maximum length of 5000 characters")
        assert "2.16.2" in answer.json()["message"]


def test_a_tag_of_an_experiment_that_it_refuses_is_refused_at_once(old: Old) -> None:
    tag = {"experiment_id": "0", "key": "a", "value": "x" * 5000}

    assert old.ask(f"{API}/experiments/set-experiment-tag", tag, Prefer="wait=20").status_code == 200
    refused = old.ask(f"{API}/experiments/set-experiment-tag", tag | {"value": "x" * 5001})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_trace_tag_that_it_would_answer_in_part_is_refused(old: Old) -> None:
    tag = {"key": "a", "value": "x" * 251}

    refused = old.ask(f"{API}/traces/tr-1/tags", tag, method="PATCH")

    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert refused.json()["message"].startswith("'value' exceeds the maximum length of 250 characters")


def test_of_many_writes_each_that_it_would_cut_or_does_not_have_is_named(old: Old) -> None:
    run_id = old.create_run()
    writes = [
        {"op": "set-tag", "run_id": run_id, "key": "a", "value": "b"},
        {"op": "set-tag", "run_id": run_id, "key": "a", "value": "x" * 5001},
        {"op": "outputs", "run_id": run_id, "models": [{"model_id": "m-1"}]},
    ]

    refused = old.ask("/v1/writes", {"writes": writes})

    assert refused.status_code == 400
    faults = {fault["pointer"]: fault["error_code"] for fault in refused.json()["errors"]}
    assert faults == {"/writes/1": "INVALID_PARAMETER_VALUE", "/writes/2": "RESOURCE_DOES_NOT_EXIST"}


SPAN = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "s", "kind": 1}
SPANS: dict[str, Any] = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [SPAN]}]}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{API}/runs/outputs", {"run_id": "0" * 32, "models": [{"model_id": "m-1"}]}),
        ("/v1/traces", SPANS),
        (f"{API}/traces/link-to-run", {"run_id": "0" * 32, "trace_ids": ["tr-1"]}),
        (f"{API}/experiments/delete-experiment-tag", {"experiment_id": "0", "key": "a"}),
    ],
)
def test_a_call_that_it_does_not_have_is_answered_as_it_does(old: Old, path: str, body: Any) -> None:
    headers = {"x-mlflow-experiment-id": "0"}

    through = old.ask(path, body, **headers)
    direct = requests.post(old.mlflow_url + path, json=body, headers=headers, timeout=30)

    assert (through.status_code, through.text) == (direct.status_code, direct.text)
    assert through.status_code in (404, 405)
    assert "Job-Id" not in through.headers


def test_what_it_has_is_queued_and_arrives(old: Old) -> None:
    run_id, name = old.create_run(), f"of old {uuid4().hex}"
    dataset = {"dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "{}"}}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("log-parameter", {"key": "p", "value": "v"}),
        ("log-batch", {"metrics": [{"key": "m", "value": 2, "timestamp": 2, "step": 2}], "tags": []}),
        ("set-tag", {"key": "gone", "value": "1"}),
        ("delete-tag", {"key": "gone"}),
        ("log-inputs", {"datasets": [dataset]}),
        ("update", {"status": "FINISHED", "end_time": 7, "run_name": name}),
    ]
    for call, body in calls:
        answer = old.ask(f"{API}/runs/{call}", {"run_id": run_id, **body}, Prefer="wait=30")
        assert answer.status_code == 200, (call, answer.text)

    run = old.run(run_id)
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", name)
    assert [(m["key"], m["value"]) for m in run["data"]["metrics"]] == [("m", 2)]
    assert [d["dataset"]["name"] for d in run["inputs"]["dataset_inputs"]] == ["d"]
    assert "gone" not in json.dumps(run["data"].get("tags"))
