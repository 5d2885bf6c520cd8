# SPDX-License-Identifier: Apache-2.0
"""Tags that MLflow's server gives a meaning: each of its keys, with good and bad values, is judged as it judges them.

It costs seconds: each key that MLflow names is sent to both, as a tag of a run, of an experiment and of a trace.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from mlflow.tracing.constant import TraceExperimentTagKey, TraceMetadataKey, TraceTagKey
from mlflow.utils import mlflow_tags
from werkzeug.test import Client

from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from tests.asgi_client import client_of
from tests.servers import Server

API = "/api/2.0/mlflow"
TRACE = "/api/3.0/mlflow/traces/tr-0123456789abcdef0123456789abcdef/tags"
#: What only the server knows: neither is visible in a request.
STATE = ("FOREIGN KEY", "not found", "No trace tag with key", "No tag with name")

RETENTION, ARCHIVE_NOW = TraceExperimentTagKey.ARCHIVAL_RETENTION, TraceExperimentTagKey.ARCHIVE_NOW


def named() -> list[str]:
    """Each key that MLflow has a name for."""
    holders = (mlflow_tags, TraceTagKey, TraceMetadataKey, TraceExperimentTagKey)
    values = [value for holder in holders for name, value in vars(holder).items() if name.isupper()]
    return sorted({value for value in values if isinstance(value, str) and value.startswith("mlflow")})


#: Each key in each way.
pytestmark = pytest.mark.full


@dataclass(frozen=True)
class Both:
    bridge: Client
    mlflow_url: str
    experiment_id: str
    run_id: str

    def ask(self, method: str, path: str, body: dict[str, Any]) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
        headers = {"Content-Type": "application/json"}
        sent = json.dumps(body)
        theirs = requests.request(method, self.mlflow_url + path, data=sent, headers=headers, timeout=30)
        ours = self.bridge.open(path, method=method, data=sent, headers=headers)
        return _verdict(ours.status_code, ours.get_json()), _verdict(theirs.status_code, theirs.json())

    def differs(self, method: str, path: str, body: dict[str, Any]) -> Any:
        ours, theirs = self.ask(method, path, body)
        is_state = ours[0] == 200 and any(word in theirs[2] for word in STATE)
        return None if ours == theirs or is_state else (method, path, str(body)[:200], ours, theirs)

    def tag(self, kind: str, key: str, value: str) -> Any:
        match kind:
            case "run":
                return self.differs("POST", f"{API}/runs/set-tag", {"run_id": self.run_id, "key": key, "value": value})
            case "experiment":
                body = {"experiment_id": self.experiment_id, "key": key, "value": value}
                return self.differs("POST", f"{API}/experiments/set-experiment-tag", body)
        return self.differs("PATCH", TRACE, {"key": key, "value": value})


def _verdict(status: int, answer: Any) -> tuple[int, str, str]:
    return status, answer.get("error_code", ""), answer.get("message", "")


@pytest.fixture(scope="module")
def both(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Both]:
    # Of their own: what these tags order, MLflow may carry out.
    experiment = requests.post(
        f"{mlflow_url}{API}/experiments/create", json={"name": "special tags"}, timeout=30
    ).json()
    named = {"experiment_id": experiment["experiment_id"]}
    run = requests.post(f"{mlflow_url}{API}/runs/create", json=named, timeout=30).json()["run"]["info"]["run_id"]
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": mlflow_url}
    with client_of(build_api(read_settings(environ))) as client:
        yield Both(client, mlflow_url, named["experiment_id"], run)


@pytest.mark.parametrize("kind", ["run", "experiment", "trace"])
def test_each_key_that_mlflow_names_is_judged_as_mlflow_judges_it(both: Both, kind: str) -> None:
    keys = named()
    differ = [both.tag(kind, key, value) for key in keys for value in ("", "x", '{"type":"duration","value":"3d"}')]

    assert len(keys) > 60
    assert [each for each in differ if each] == []


@pytest.mark.parametrize("value", ["x", "", "v" * 5000])
def test_a_batch_of_all_of_them_is_judged_as_mlflow_judges_it(both: Both, value: str) -> None:
    keys = named()[:100]
    body = {"run_id": both.run_id, "tags": [{"key": key, "value": value} for key in keys]}

    assert both.differs("POST", f"{API}/runs/log-batch", body) is None


def test_the_deletion_of_each_is_judged_as_mlflow_judges_it(both: Both) -> None:
    differ = [both.differs("DELETE", TRACE, {"key": key}) for key in named()]

    assert [each for each in differ if each] == []


_DURATIONS: list[Any] = [
    *("3d", "1m", "24h", " 3d ", "\t7h\n", "1" * 31 + "d", "1" * 32 + "d", " " * 40 + "3d", "0d", "03d", "3", "d", ""),
    *("3D", "3w", "-3d", "+3d", "3.5d", "٣d", "3 d", "3d\n", "3d3d", None, 3, 3.5, True, [], {}, ["3d"], float("nan")),
]
_CONFIGS = [
    *("", "x", "null", "3", "[]", "{}", '"3d"', "{", "[" * 5000, "3d", '{"type":"duration"}', '{"type":"Duration"}'),
    *('{"value":"3d"}', '{"type":null,"value":"3d"}', '{"type":["duration"],"value":"3d"}', '{"older_than":"3d"} x'),
    *('{"type":"duration","value":"x","value":"3d"}', '{"type":"duration","value":"3d","more":1}', '\ufeff{"a":1}'),
    *('{"older_than":null}', '{"type":"x","older_than":"3d"}', ' {"older_than":"3d"} ', '{"older_than":"\\ud800"}'),
]


@pytest.mark.parametrize("key", [RETENTION, ARCHIVE_NOW, f"{RETENTION}2", RETENTION.upper()])
def test_orders_to_archive_traces_are_judged_as_mlflow_judges_them(both: Both, key: str) -> None:
    spelled = [json.dumps({"type": "duration", "value": each, "older_than": each}) for each in _DURATIONS]

    differ = [both.tag("experiment", key, value) for value in _CONFIGS + spelled]

    assert [each for each in differ if each] == []


def test_orders_to_archive_traces_are_refused_in_each_way_that_mlflow_has(both: Both) -> None:
    spelled = [json.dumps({"type": "duration", "value": each}) for each in _DURATIONS]
    path, answers = f"{API}/experiments/set-experiment-tag", []
    for value in _CONFIGS + spelled:
        ours, _ = both.ask("POST", path, {"experiment_id": both.experiment_id, "key": RETENTION, "value": value})
        answers.append(ours[2])

    assert set(answers) == {
        "",
        "Trace archival config must be encoded as a JSON object.",
        "Trace archival config must use type 'duration'.",
        "Trace archival duration must be at most 32 characters.",
        "Trace archival retention must be in the form `<int><unit>`, where unit is one of 'm', 'h', or 'd'.",
    }


@pytest.mark.parametrize("key", [TraceTagKey.TRACE_NAME, "mlflow.traceName2"])
@pytest.mark.parametrize("length", [0, 4096, 4097, 8000])
def test_the_name_of_a_trace_is_judged_as_mlflow_judges_it(both: Both, key: str, length: int) -> None:
    assert both.tag("trace", key, "é" * length) is None
