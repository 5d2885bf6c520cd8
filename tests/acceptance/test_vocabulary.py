# SPDX-License-Identifier: Apache-2.0
"""All that the MLflow client can say leaves the same behind, said to the bridge or to MLflow itself."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from tests import forked
from tests.servers import clean_environ
from tests.system import System

SCRIPT = Path(__file__).parent / "vocabulary.py"

#: Tags that differ with every run, by their nature.
NAMES_ITSELF = {"mlflow.parentRunId", "mlflow.log-model.history"}


def say_everything(url: str, name: str) -> None:
    environ = clean_environ() | {
        "MLFLOW_TRACKING_URI": url,
        "PATH": os.environ["PATH"],
        # What a model needs is found by importing it in yet another process; that says nothing to the server.
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",
    }
    done = forked.run(str(SCRIPT), name, environ=environ, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def run_state(client: MlflowClient, run: Run) -> dict[str, Any]:
    run_id = run.info.run_id
    return {
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key not in NAMES_ITSELF},
        "nested": "mlflow.parentRunId" in run.data.tags,
        "history": {
            key: sorted((value.step, repr(value.value)) for value in client.get_metric_history(run_id, key))
            for key in sorted(run.data.metrics)
            if not key.startswith("m") or key == "m7"
        },
        "latest": {key: repr(value) for key, value in run.data.metrics.items()},
        "inputs": [
            (each.dataset.name, each.dataset.digest, sorted((tag.key, tag.value) for tag in each.tags))
            for each in (run.inputs.dataset_inputs if run.inputs else ())
        ],
        "outputs": len(run.outputs.model_outputs) if run.outputs else 0,
        "artifacts": sorted(artifacts(client, run_id, "")),
    }


def artifacts(client: MlflowClient, run_id: str, path: str) -> list[str]:
    found: list[str] = []
    for each in client.list_artifacts(run_id, path):
        found += artifacts(client, run_id, each.path) if each.is_dir else [each.path]
    return found


def state(client: MlflowClient, name: str) -> dict[str, Any]:
    """Everything that the experiment holds, without what differs by its nature: ids and times."""
    experiment = client.get_experiment_by_name(name)
    assert experiment
    here = [experiment.experiment_id]
    runs = client.search_runs(here, run_view_type=ViewType.ALL, max_results=100)
    version = client.get_model_version_by_alias(f"model-{name}", "champion")
    logged = client.search_logged_models(here)
    return {
        "tags": experiment.tags,
        "runs": {run.info.run_name: run_state(client, client.get_run(run.info.run_id)) for run in runs},
        "count": len(runs),
        "registered": (version.version, version.tags, version.status),
        "models": [(model.name, model.status, model.params, len(model.metrics or [])) for model in logged],
        "traces": [
            [span.name for span in trace.data.spans]
            for trace in client.search_traces(locations=here, include_spans=True)
        ],
    }


# Half a minute. Each call by itself is compared with MLflow in tests/acceptance/test_parity_*.py.
@pytest.mark.full
def test_the_whole_vocabulary_of_the_client_leaves_the_same_behind(bridge: System) -> None:
    mark = uuid4().hex[:8]

    say_everything(bridge.url, f"bridged-{mark}")
    say_everything(bridge.mlflow_url, f"direct-{mark}")

    bridge.drained()
    client = MlflowClient(bridge.mlflow_url)
    bridged, direct = state(client, f"bridged-{mark}"), state(client, f"direct-{mark}")
    assert bridged["count"] >= 5
    assert bridged["traces"] == [["doubled"]]
    assert bridged == direct
