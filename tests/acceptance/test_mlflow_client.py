# SPDX-License-Identifier: Apache-2.0
"""The official MLflow client, told nothing but the bridge's URL."""

import json

from tests import forked
from tests.servers import clean_environ
from tests.system import ARN, CREDENTIALS, System

TRAINING = """
import json
import warnings
import mlflow

warnings.simplefilter("error", UserWarning)

with mlflow.start_run() as run:
    mlflow.log_params({"lr": 0.1, "depth": 3, "optimizer": "adam"})
    for step in range(1000):
        mlflow.log_metrics({"loss": 1 / (step + 1), "accuracy": step / 1000}, step=step)
    mlflow.log_metric("last", float("nan"))
    mlflow.set_tags({"team": "red", "stage": "dev"})
print(json.dumps(run.info.run_id))
"""


def test_the_mlflow_client_loses_nothing_and_sees_no_error(bridge: System) -> None:
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": bridge.url}

    done = forked.run("-c", TRAINING, environ=environ, timeout=200)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "ERROR" not in done.stderr
    run_id = json.loads(done.stdout.splitlines()[-1])
    bridge.drained()
    run = bridge.run(run_id)
    assert run["info"]["status"] == "FINISHED"
    assert {p["key"]: p["value"] for p in run["data"]["params"]} == {"lr": "0.1", "depth": "3", "optimizer": "adam"}
    assert {("team", "red"), ("stage", "dev")} <= {(t["key"], t["value"]) for t in run["data"]["tags"]}
    for key, values in {
        "loss": [1 / (step + 1) for step in range(1000)],
        "accuracy": [step / 1000 for step in range(1000)],
    }.items():
        points = {point["step"]: point["value"] for point in bridge.history(run_id, key)}
        assert points == dict(enumerate(values))
    assert [point["value"] for point in bridge.history(run_id, "last")] == ["NaN"]


BY_PLUGIN = """
import mlflow

with mlflow.start_run() as run:
    mlflow.log_param("p", 1)
    mlflow.log_metrics({f"m{number}": number for number in range(100)})
    mlflow.log_metric("m", 1, step=1)
    mlflow.set_tag("t", "v")
assert mlflow.get_run(run.info.run_id).data.metrics["m"] == 1
print(run.info.run_id)
"""


def test_awss_plugin_works_through_the_bridge_and_its_own_signature_goes_no_further(bridge: System) -> None:
    environ = clean_environ() | {
        "MLFLOW_TRACKING_URI": ARN,
        "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": bridge.url,
        "AWS_ACCESS_KEY_ID": "AKIAOFTHECLIENT00000",
        "AWS_SECRET_ACCESS_KEY": "of-the-client",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = len(bridge.front.calls)

    done = forked.run("-c", BY_PLUGIN, environ=environ, timeout=100)

    assert done.returncode == 0, done.stderr
    run = bridge.run(done.stdout.split()[-1])
    assert (run["info"]["status"], len(run["data"]["metrics"])) == ("FINISHED", 101)
    replay_cache = {call.headers["authorization"] for call in bridge.front.calls[before:]}
    assert all(CREDENTIALS.access_key in signature for signature in replay_cache)
    assert not any("AKIAOFTHECLIENT" in signature for signature in replay_cache)
