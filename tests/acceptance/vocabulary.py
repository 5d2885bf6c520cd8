# SPDX-License-Identifier: Apache-2.0
"""Says everything that the MLflow client can say to a tracking server: ``python vocabulary.py EXPERIMENT``.

Where it says it to, ``MLFLOW_TRACKING_URI`` decides. What it reads back on the way is checked on the spot.
"""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]


def main(name: str) -> None:
    client = MlflowClient()
    mlflow.set_experiment(name)
    mlflow.set_experiment_tag("purpose", "comparison")
    parent = log_everything()
    with mlflow.start_run(run_id=parent):
        mlflow.log_metric("resumed", 1.5, step=7)
    read_back(client, parent)
    failing()
    registry(client, name, parent)
    trace()
    models()


def log_everything() -> str:
    with mlflow.start_run(run_name="parent", description="says everything") as parent:
        mlflow.log_param("depth", 3)
        mlflow.log_params({f"p{number}": number for number in range(150)})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({f"m{number}": number / 8 for number in range(1100)}, step=3)
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf"), "minus": float("-inf")})
        mlflow.set_tag("stage", "dev")
        mlflow.set_tags({"team": "red", "gone": "soon"})
        mlflow.delete_tag("gone")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "conf.json")
        mlflow.log_table({"x": [1, 2]}, "first.json")
        mlflow.log_table({"x": [3]}, "second.json")
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "with space & é.bin").write_bytes(bytes(range(256)) * 100)
            mlflow.log_artifacts(directory, "files")
        dataset = from_numpy(np.arange(6), source="/data/six.npy", name="six")
        mlflow.log_input(dataset, context="training")
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("child", 1)
        mlflow.log_metric("later", 2.5, synchronous=False)
        mlflow.flush_async_logging()
    return str(parent.info.run_id)


def read_back(client: MlflowClient, run_id: str) -> None:
    """What was logged is there for whoever asks next."""
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED", run.info.status
    assert run.data.metrics["resumed"] == 1.5
    assert "gone" not in run.data.tags
    assert [value.step for value in client.get_metric_history(run_id, "loss")] == list(range(20))
    found = mlflow.search_runs(filter_string="params.depth = '3' and metrics.later > 2")
    assert list(found["run_id"]) == [run_id], found
    with tempfile.TemporaryDirectory() as directory:
        path = client.download_artifacts(run_id, "files/with space & é.bin", directory)
        assert Path(path).read_bytes() == bytes(range(256)) * 100
    assert len(mlflow.load_table("first.json", run_ids=[run_id])) == 2
    client.update_run(run_id, name="renamed")
    assert client.get_run(run_id).info.run_name == "renamed"


def failing() -> None:
    with suppress(ZeroDivisionError), mlflow.start_run(run_name="failing"):
        mlflow.log_metric("before", 1)
        mlflow.log_metric("never", 1 // 0)
    with mlflow.start_run(run_name="deleted") as run:
        mlflow.log_metric("m", 1)
    mlflow.delete_run(run.info.run_id)


def registry(client: MlflowClient, name: str, run_id: str) -> None:
    model = f"model-{name}"
    client.create_registered_model(model, tags={"a": "b"}, description="a model")
    version = client.create_model_version(model, source=f"runs:/{run_id}/files", run_id=run_id)
    client.set_model_version_tag(model, version.version, "tested", "yes")
    client.set_registered_model_alias(model, "champion", version.version)
    assert client.get_model_version_by_alias(model, "champion").run_id == run_id


def trace() -> None:
    @mlflow.trace(name="doubled")
    def double(number: int) -> int:
        return 2 * number

    double(21)
    mlflow.flush_trace_async_logging()


def models() -> None:
    mlflow.sklearn.autolog(log_datasets=True)
    with mlflow.start_run(run_name="trained"):
        LinearRegression().fit(np.arange(10).reshape(-1, 1), np.arange(10))


if __name__ == "__main__":
    main(sys.argv[1])
