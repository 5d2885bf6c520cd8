# SPDX-License-Identifier: Apache-2.0
"""What MLflow takes in one call the bridge takes in one call, however long, and MLflow has it in the end.

It costs seconds: each body has many megabytes, and a store, a worker and MLflow write it to disk.
"""

import gzip
import json
import os
import time
from typing import Any

import pytest
import requests

from schemas.bodies.single import DATASET_LIMITS
from schemas.mlflow_limits import MAX_PARAM_VALUE, MAX_PARAMS, MAX_TAG_VALUE, MAX_TAGS
from tests.acceptance.export_bodies import JSON, Export, packed, span, spelled
from tests.system import System

API = "/api/2.0/mlflow/runs"
PROFILE = DATASET_LIMITS["profile"]


def dataset(**fields: str) -> dict[str, Any]:
    good = {"name": "d", "digest": os.urandom(4).hex(), "source_type": "local", "source": "{}"}
    return {"dataset": good | fields}


def stored_profiles(bridge: System, run_id: str) -> set[str]:
    inputs = bridge.run(run_id)["inputs"]["dataset_inputs"]
    return {each["dataset"]["profile"] for each in inputs}


@pytest.mark.parametrize(
    "profiles",
    [["p" * 12_000_000], ['"' * PROFILE], ["a" * 6_000_000, "b" * 6_000_000, "é" * 2_000_000]],
    ids=["12 MB", "as long as MLflow lets one be, all escaped", "three in one call"],
)
def test_the_profiles_of_datasets_arrive(bridge: System, profiles: list[str]) -> None:
    run_id = bridge.create_run()

    answer = bridge.log("log-inputs", {"datasets": [dataset(profile=each) for each in profiles], "run_id": run_id})

    assert answer.status_code == 200, answer.text
    assert bridge.job(answer.headers["Job-Id"])["status"] == "delivered"
    assert stored_profiles(bridge, run_id) == set(profiles)


def test_a_profile_that_is_too_long_for_mlflow_is_refused_in_its_words(bridge: System) -> None:
    body: Any = {"run_id": bridge.create_run(), "datasets": [dataset(profile="p" * (PROFILE + 1))]}

    ours, theirs = (
        requests.post(f"{url}{API}/log-inputs", json=body, timeout=60) for url in (bridge.url, bridge.mlflow_url)
    )

    assert (ours.status_code, ours.json()["message"]) == (theirs.status_code, theirs.json()["message"])
    assert ours.status_code == 400


@pytest.mark.parametrize(
    "export",
    [
        Export(spelled(span(attributes=[{"key": "x", "value": {"stringValue": "y" * 12_000_000}}])), JSON),
        Export(packed(name="n" * 11_000_000)),
        Export(
            gzip.compress(spelled(span(events=[{"name": "e" * 12_000_000}])), 1), JSON, {"Content-Encoding": "gzip"}
        ),
    ],
    ids=["an attribute in JSON", "a name in protobuf", "an event, packed"],
)
def test_long_spans_arrive(bridge: System, export: Export) -> None:
    answer = requests.post(f"{bridge.url}/v1/traces", data=export.body, headers=export.all_headers, timeout=60)

    assert answer.status_code == 200, answer.text
    assert bridge.job(answer.headers["Job-Id"])["status"] == "delivered"


def test_a_batch_as_long_as_mlflow_lets_one_be_arrives_between_others(bridge: System) -> None:
    run_id, smile, now = bridge.create_run(), "\U0001f600", time.time_ns() // 1_000_000
    body = {
        "run_id": run_id,
        "metrics": [{"key": "é" * 250, "value": step, "timestamp": now, "step": step} for step in range(800)],
        "params": [{"key": f"p{number}", "value": smile * MAX_PARAM_VALUE} for number in range(MAX_PARAMS)],
        "tags": [{"key": f"t{number}", "value": smile * MAX_TAG_VALUE} for number in range(MAX_TAGS)],
    }
    # Each character in twelve, as Python's `json` and with it MLflow's client writes it.
    assert len(json.dumps(body)) > 17_000_000
    before = bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": now})

    answer = bridge.log("log-batch", body)
    after = bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 2, "timestamp": now + 1})

    assert answer.status_code == 200, answer.text
    jobs = [bridge.job(each.headers["Job-Id"])["status"] for each in (before, answer, after)]
    assert jobs == ["delivered"] * 3
    stored = bridge.run(run_id)["data"]
    assert {each["value"] for each in stored["params"]} == {smile * MAX_PARAM_VALUE}
    assert len(bridge.history(run_id, "é" * 250)) == 800
    assert [each["value"] for each in bridge.history(run_id, "m")] == [1, 2]


@pytest.mark.parametrize(
    ("path", "length"),
    [
        (f"{API}/log-inputs", 40),
        (f"{API}/log-batch", 40),
        ("/v1/traces", 40),
        (f"{API}/set-tag", 10),
        ("/v1/writes", 10),
    ],
)
def test_each_call_has_its_bound(bridge: System, path: str, length: int) -> None:
    body = b" " * (length * 1024 * 1024 + 1)
    headers = {"Content-Type": "application/json", "x-mlflow-experiment-id": "0"}

    answer = requests.post(bridge.url + path, data=body, headers=headers, timeout=60)

    assert answer.status_code == 413
    assert f"the maximum is {length * 1024 * 1024} bytes" in answer.text
