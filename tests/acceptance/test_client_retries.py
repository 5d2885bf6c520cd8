# SPDX-License-Identifier: Apache-2.0
"""The installed MLflow client repeats calls as `schemas.client_retries` says, so that what is short of time arrives."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import mlflow.version
import pytest

from schemas.client_retries import POSTS_REPEATED_AFTER_503
from schemas.endpoints import find_endpoint
from schemas.write import Op
from tests import forked
from tests.servers import clean_environ

CALLS = """
import mlflow
from contextlib import suppress
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput, Metric
client = mlflow.MlflowClient()
run_id = "0" * 32
dataset = DatasetInput(Dataset("d", "x", "local", "{}"))
for call in (
    lambda: client.log_metric(run_id, "m", 1.0),
    lambda: client.log_param(run_id, "p", "v"),
    lambda: client.set_tag(run_id, "t", "v"),
    lambda: client.log_batch(run_id, metrics=[Metric("m", 1.0, 1, 1)]),
    lambda: client.delete_tag(run_id, "t"),
    # What `update_run` does after it has read the run.
    lambda: client._tracking_client.store.update_run_info(run_id, 3, 1, None),
    lambda: client.log_inputs(run_id, [dataset]),
    lambda: client.log_outputs(run_id, [LoggedModelOutput("m-1", 0)]),
    lambda: client.set_experiment_tag("0", "t", "v"),
    lambda: client.delete_experiment_tag("0", "t"),
    lambda: client.link_traces_to_run(["tr-1"], run_id),
):
    with suppress(Exception):
        call()
"""


class _Refusing(ThreadingHTTPServer):
    """Answers each call with one status, and counts the queued ones."""

    status: int
    asked: Counter[Op]


class _Handler(BaseHTTPRequestHandler):
    server: _Refusing

    def do_POST(self) -> None:
        found = find_endpoint("POST", self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        if found and found.op:
            self.server.asked[found.op] += 1
        self.send_response(self.server.status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def refusing(status: int) -> Iterator[_Refusing]:
    with _Refusing(("127.0.0.1", 0), _Handler) as server:
        server.status, server.asked = status, Counter()
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked_when_refused(status: int) -> Counter[Op]:
    with refusing(status) as server:
        environ = clean_environ() | {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.server_port}",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        }
        done = forked.run("-c", CALLS, environ=environ, timeout=100)
        assert done.returncode == 0, done.stderr
        return server.asked


@pytest.mark.parametrize("status", [429, 503])
def test_it_repeats_what_the_table_says(status: int) -> None:
    asked = asked_when_refused(status)

    installed = tuple(int(part) for part in mlflow.version.VERSION.split(".")[:2])
    generation = max((v for v in POSTS_REPEATED_AFTER_503 if numbers(v) <= installed), key=numbers)
    repeated = POSTS_REPEATED_AFTER_503[generation]
    expected = {op: 2 if status == 429 or repeated is None or op in repeated else 1 for op in asked}
    assert len(asked) == 11, json.dumps(sorted(asked))
    assert dict(asked) == expected


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
