# SPDX-License-Identifier: Apache-2.0
"""MLflow 2.13's client, as it still runs in many places, told nothing but the bridge's URL."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import clean_environ
from tests.system import System

#: Another MLflow, or the whole of one.
pytestmark = pytest.mark.full

VERSION = "2.13.2"
NAME = "trained long ago"
#: An environment of its own: this client can't be installed beside today's.
ENVIRONMENT = Path(__file__).parents[2] / ".venv" / "old-client"

TRAINING = """
import json, time
import mlflow
from mlflow.entities import Metric, Param, RunTag

client = mlflow.MlflowClient()
experiment = mlflow.set_experiment("of an old client")
with mlflow.start_run(run_name="trained long ago", tags={"team": "red"}) as run:
    run_id = run.info.run_id
    mlflow.log_param("lr", 0.1)
    mlflow.log_params({f"p{number}": number for number in range(150)})
    for step in range(100):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"accuracy": 0.5, "last": float("nan")})
    now = int(time.time() * 1000)
    metrics = [Metric("batch", float(step), now, step) for step in range(500)]
    client.log_batch(run_id, metrics=metrics, params=[Param("b", "1")], tags=[RunTag("of", "batch")])
    mlflow.set_tag("stage", "dev")
    mlflow.set_tags({"part": "1", "gone": "soon"})
    client.delete_tag(run_id, "gone")
    mlflow.log_text("word " * 1000, "notes/a b.txt")
    mlflow.log_dict({"deep": [1, 2]}, "config.json")
print(json.dumps(run_id))
"""

READING = """
import json, sys
import mlflow

client, run_id = mlflow.MlflowClient(), sys.argv[1]
experiment = client.get_experiment_by_name("of an old client")
found = client.search_runs([experiment.experiment_id], "params.lr = '0.1' and metrics.batch >= 499")
print(json.dumps({
    "found": [each.info.run_name for each in found],
    "loss": [point.value for point in client.get_metric_history(run_id, "loss")],
    "artifacts": [each.path for each in client.list_artifacts(run_id)],
    "config": mlflow.artifacts.load_dict(f"runs:/{run_id}/config.json"),
}))
"""

LOSSES = [1 / (step + 1) for step in range(100)]


@pytest.fixture(scope="session")
def old_python() -> Path:
    """The Python of an environment that has the old client."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "installed").exists():
        pytest.fail("MLflow's old client is missing; install it: make .venv/old-client/installed", pytrace=False)
    return python


def told_by(python: Path, bridge: System, script: str, *arguments: str) -> Any:
    """What a script says in the end that the old client runs."""
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": bridge.url}
    command = [str(python), "-I", "-c", script, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_old_client_loses_nothing_and_finds_what_it_has_logged(bridge: System, old_python: Path) -> None:
    before = len(bridge.front.calls)

    run_id = told_by(old_python, bridge, TRAINING)
    bridge.drained()
    read = told_by(old_python, bridge, READING, run_id)

    agents = {call.headers["user-agent"] for call in bridge.front.calls[before:]}
    assert f"mlflow-python-client/{VERSION}" in agents
    artifacts = ["config.json", "notes"]
    assert read == {"found": [NAME], "loss": LOSSES, "artifacts": artifacts, "config": {"deep": [1, 2]}}
    check_run(bridge.run(run_id))
    for key, values in {"loss": LOSSES, "batch": [*range(500)], "accuracy": [0.5], "last": ["NaN"]}.items():
        assert [point["value"] for point in bridge.history(run_id, key)] == values
    itself = f"{bridge.mlflow_url}/get-artifact"
    notes = requests.get(itself, params={"run_uuid": run_id, "path": "notes/a b.txt"}, timeout=30)
    assert notes.text == "word " * 1000


def check_run(run: dict[str, Any]) -> None:
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", NAME)
    params = {"lr": "0.1", "b": "1"} | {f"p{number}": str(number) for number in range(150)}
    assert {param["key"]: param["value"] for param in run["data"]["params"]} == params
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert {"team": "red", "of": "batch", "stage": "dev", "part": "1"}.items() <= tags.items()
    assert "gone" not in tags
