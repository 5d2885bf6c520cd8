# SPDX-License-Identifier: Apache-2.0
"""Of what the bridge can't take now it says so with a status after which every client comes again."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client

from bridge.bootstrap.processes import Api
from schemas.endpoints import ENDPOINTS
from schemas.write import Op
from tests.factories import RUN

#: POSTs that MLflow 3.18's client repeats after a 503; it repeats other methods, too.
REPEATED = {"log-metric", "log-parameter", "log-batch", "set-tag", "update", "set-experiment-tag"}
BODIES: dict[str, dict[str, Any]] = {
    "log-metric": {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1},
    "log-parameter": {"run_id": RUN, "key": "p", "value": "v"},
    "set-tag": {"run_id": RUN, "key": "t", "value": "v"},
    "log-batch": {"run_id": RUN, "tags": [{"key": "t", "value": "v"}]},
    "delete-tag": {"run_id": RUN, "key": "t"},
    "update": {"run_id": RUN, "status": "FINISHED"},
    "log-inputs": {"run_id": RUN, "datasets": []},
    "outputs": {"run_id": RUN, "models": [{"model_id": "m-1"}]},
    "set-experiment-tag": {"experiment_id": "0", "key": "t", "value": "v"},
    "delete-experiment-tag": {"experiment_id": "0", "key": "t"},
    "set-trace-tag": {"key": "t", "value": "v"},
    "delete-trace-tag": {"key": "t"},
    "link-to-run": {"run_id": RUN, "trace_ids": ["tr-1"]},
    "link-prompts": {"trace_id": "tr-1", "prompt_versions": []},
}
QUEUED = [
    (each.method, each.path.replace("{request_id}", "tr-1").replace("{trace_id}", "tr-1"), each.op)
    for each in ENDPOINTS
    if each.op in BODIES
]


def test_each_queued_call_is_tried() -> None:
    assert {op for _, _, op in QUEUED} == set(BODIES) == set(Op) - {Op.EXPORT_TRACES, Op.CREATE_RUN}


@pytest.mark.parametrize(("method", "path", "op"), QUEUED)
def test_a_write_is_asked_for_again_while_the_bridge_is_stopping_or_its_store_is_away(
    http: Client, api: Api, http_with: Callable[[dict[str, str]], Client], method: str, path: str, op: str
) -> None:
    api.stopping.set()
    stopping = http.open(path, method=method, json=BODIES[op])
    away = http_with({"BRIDGE_STORE_URL": "redis://127.0.0.1:1/0"}).open(path, method=method, json=BODIES[op])

    expected = 503 if method != "POST" or op in REPEATED else 429
    assert (stopping.status_code, away.status_code) == (expected, expected), stopping.data
    assert stopping.headers["Retry-After"]
    assert away.headers["Retry-After"]
    assert away.json
    assert away.json["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_a_full_store_says_so_in_the_same_way(http_with: Callable[[dict[str, str]], Client]) -> None:
    http = http_with({"BRIDGE_MAX_STORE": "1KiB", "BRIDGE_MAX_PENDING_RUN": "1MiB"})
    tag = {"run_id": RUN, "key": "t", "value": "v" * 900}
    assert http.post("/api/2.0/mlflow/runs/set-tag", json=tag).status_code == 200

    answers = [
        http.post(f"/api/2.0/mlflow/runs/{call}", json=body).status_code
        for call, body in [("set-tag", tag), ("delete-tag", {"run_id": RUN, "key": "k" * 200})]
    ]

    assert answers == [503, 429]
