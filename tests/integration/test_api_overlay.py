# SPDX-License-Identifier: Apache-2.0
"""A read shows what is accepted, whether or not upstream has it yet: each read equals plain MLflow's."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Worker, build_worker
from bridge.config.environment import read_settings
from tests.amounts import amount
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer, Commit, Wait

API = "/api/2.0/mlflow"
AT_ONCE = {"Prefer": "wait=0"}
SET_TAG = "POST", f"{API}/runs/set-tag"


@dataclass
class Beside:
    """The bridge, whose deliveries the test makes, and plain MLflow: two runs to which the same is done."""

    http: Client
    worker: Worker
    mlflow_url: str
    ours: str = ""
    theirs: str = ""

    def begin(self) -> None:
        self.ours, self.theirs = self.create_run(), self.create_run()

    def create_run(self) -> str:
        run = self.plain("POST", f"{API}/runs/create", {"experiment_id": "0", "run_name": "named"})["run"]
        return str(run["info"]["run_id"])

    def create_trace(self) -> str:
        trace_id = uuid4().hex
        times = dict.fromkeys(("startTimeUnixNano", "endTimeUnixNano"), "1767225600000000000")
        span = {"traceId": trace_id, "spanId": trace_id[:16], "name": "s", "kind": 1, **times}
        body: dict[str, Any] = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}
        headers = {"x-mlflow-experiment-id": "0"}
        answer = requests.post(f"{self.mlflow_url}/v1/traces", json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return f"tr-{trace_id}"

    def plain(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = requests.request(method, self.mlflow_url + path, json=body, timeout=30)
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        at_once = AT_ONCE if method == "GET" else {}
        return self.http.open(path, method=method, json=body, headers=at_once | headers)

    def do(self, call: str, body: dict[str, Any]) -> None:
        """Do this to both runs."""
        answer = self.ask("POST", f"{API}/runs/{call}", {"run_id": self.ours, **body})
        assert answer.status_code == 200, answer.data
        self.plain("POST", f"{API}/runs/{call}", {"run_id": self.theirs, **body})

    def deliver(self, lane: str = "") -> None:
        self.worker.delivery.deliver(lane or self.ours)

    def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both runs, as they are read."""
        ours = self.ask("GET", f"{API}/runs/get?run_id={self.ours}").json
        return normal(ours), normal(self.plain("GET", f"{API}/runs/get?run_id={self.theirs}"))

    def history(self, key: str) -> tuple[list[Any], list[Any]]:
        """Both histories of a metric."""
        path = f"{API}/metrics/get-history?metric_key={quote(key)}&run_id="
        return points(self.ask("GET", path + self.ours).json), points(self.plain("GET", path + self.theirs))


def normal(answer: Any) -> dict[str, Any]:
    """Return a run without what is its own, and its lists without their order, which MLflow leaves open."""
    run = answer["run"]
    info = {key: run["info"].get(key) for key in ("run_name", "status", "end_time", "lifecycle_stage")}
    data = {name: sorted(items, key=lambda item: item["key"]) for name, items in run["data"].items()}
    return {"info": info, "data": data}


def points(answer: Any) -> list[Any]:
    return sorted((p["timestamp"], p["step"], str(p["value"])) for p in answer.get("metrics", []))


@pytest.fixture
def beside(http: Client, environ: dict[str, str], mlflow_url: str) -> Iterator[Beside]:
    worker = build_worker(read_settings(environ))
    found = Beside(http, worker, mlflow_url)
    found.begin()
    yield found
    worker.close()


KEYS = st.sampled_from(["a", "b", "mlflow.runName", "mlflow.note.content", "ü/1"])
TEXTS = st.sampled_from(["", "x", "y", "[1]", "ü\n"])
VALUES = st.sampled_from([0, 1, -1.5, 1e300, 0.1, "NaN", "Infinity", "-Infinity"])
METRICS = st.fixed_dictionaries(
    {"key": st.sampled_from(["m", "n"]), "value": VALUES, "timestamp": st.integers(0, 3), "step": st.integers(0, 3)}
)
TAGS = st.fixed_dictionaries({"key": KEYS, "value": TEXTS})
#: Of a param only the first value counts; another one is refused, at once by MLflow and later by the bridge.
PARAMS = st.sampled_from("pqr").map(lambda key: {"key": key, "value": f"of {key}"})
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["RUNNING", "FINISHED", "KILLED", 3, 4]),
        "end_time": st.integers(0, 9),
        "run_name": st.sampled_from(["", "new", "other"]),
    },
)
DELETES = st.sampled_from(["a", "b", "ü/1"]).map(lambda key: {"key": key})
BATCHES = st.fixed_dictionaries(
    {
        "metrics": st.lists(METRICS, max_size=3),
        "params": st.lists(PARAMS, max_size=2, unique_by=lambda param: param["key"]),
        # Twice a run's name in one batch is more than MLflow's own database takes.
        "tags": st.lists(TAGS, max_size=3, unique_by=lambda tag: tag["key"]),
    }
)


def calls(name: str, bodies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return bodies.map(lambda body: (name, body))


STEPS = st.one_of(
    calls("log-metric", METRICS),
    calls("log-parameter", PARAMS),
    calls("set-tag", TAGS),
    calls("log-batch", BATCHES),
    calls("delete-tag", DELETES),
    calls("update", UPDATES),
    st.just(("deliver", {})),
    st.just(("read", {})),
)


@settings(
    max_examples=amount(usual=15, full=60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=15))
def test_each_read_equals_plain_mlflows_however_far_the_deliveries_are(
    beside: Beside, steps: list[tuple[str, dict[str, Any]]]
) -> None:
    beside.begin()
    for call, body in [*steps, ("read", {})]:
        if call == "deliver":
            beside.deliver()
        elif call == "read":
            ours, theirs = beside.run()
            assert ours == theirs
            for key in ("m", "n"):
                shown, plain = beside.history(key)
                assert shown == plain
        else:
            beside.do(call, body)


def test_a_list_that_is_read_extended_and_written_loses_nothing(beside: Beside) -> None:
    """What `log_table` and `log_image` of MLflow's client do."""
    for entry in "abcde":
        run = beside.ask("GET", f"{API}/runs/get?run_id={beside.ours}").json
        assert run
        there = {tag["key"]: tag["value"] for tag in run["run"]["data"].get("tags", [])}.get("list", "[]")
        tag = {"run_id": beside.ours, "key": "list", "value": json.dumps([*json.loads(there), entry])}
        assert beside.ask(*SET_TAG, tag).status_code == 200

    beside.deliver()
    tags = beside.plain("GET", f"{API}/runs/get?run_id={beside.ours}")["run"]["data"]["tags"]

    assert {"key": "list", "value": '["a", "b", "c", "d", "e"]'} in tags


def test_it_is_said_how_much_is_not_delivered_and_how_much_of_it_is_shown(beside: Beside) -> None:
    beside.do("set-tag", {"key": "a", "value": "1"})
    beside.do("log-metric", {"key": "m", "value": 1, "timestamp": 1})

    pending = beside.ask("GET", f"{API}/runs/get?run_id={beside.ours}", **{"Accept-Encoding": "gzip"})
    beside.deliver()
    delivered = beside.ask("GET", f"{API}/runs/get?run_id={beside.ours}")

    assert (pending.headers["Bridge-Pending-Writes"], pending.headers["Bridge-Overlaid"]) == ("2", "2")
    assert int(pending.headers["Content-Length"]) == len(pending.data)
    assert "Bridge-Overlaid" not in delivered.headers
    assert normal(pending.json) == normal(delivered.json)


def test_the_last_page_of_a_history_has_what_is_not_delivered(beside: Beside) -> None:
    for step in range(4):
        beside.do("log-metric", {"key": "m", "value": step, "timestamp": step, "step": step})
    beside.deliver()
    beside.do("log-metric", {"key": "m", "value": 4, "timestamp": 4, "step": 4})
    path, token, found = f"{API}/metrics/get-history?metric_key=m&max_results=3&run_id={beside.ours}", "", []

    for _ in range(2):
        page = beside.ask("GET", f"{path}&page_token={quote(token)}" if token else path).json
        assert page
        found.append([point["step"] for point in page["metrics"]])
        token = page.get("next_page_token", "")

    assert found == [[0, 1, 2], [3, 4]]
    assert not token


def test_a_run_that_upstream_does_not_have_stays_unknown(beside: Beside) -> None:
    run_id = uuid4().hex
    beside.ask(*SET_TAG, {"run_id": run_id, "key": "a", "value": "1"})

    answer = beside.ask("GET", f"{API}/runs/get?run_id={run_id}")

    assert answer.status_code == 404
    assert answer.json
    assert answer.json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "Bridge-Overlaid" not in answer.headers


def of_experiment(answer: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in answer["experiment"].get("tags", [])}


@pytest.mark.parametrize("path", ["get?experiment_id={id}", "get-by-name?experiment_name={name}"])
def test_tags_of_an_experiment_are_shown_at_once_by_its_id_and_by_its_name(beside: Beside, path: str) -> None:
    name = f"of tags {uuid4().hex}"
    experiment_id = beside.plain("POST", f"{API}/experiments/create", {"name": name})["experiment_id"]
    asked = f"{API}/experiments/" + path.format(id=experiment_id, name=quote(name))
    tag = {"experiment_id": experiment_id, "key": "a"}
    beside.ask("POST", f"{API}/experiments/set-experiment-tag", tag | {"value": "1"})
    beside.ask("POST", f"{API}/experiments/set-experiment-tag", tag | {"key": "b", "value": "2"})

    shown = of_experiment(beside.ask("GET", asked).json)
    beside.deliver(f"experiment:{experiment_id}")
    beside.ask("POST", f"{API}/experiments/delete-experiment-tag", tag)
    after = of_experiment(beside.ask("GET", asked).json)

    assert shown == {"a": "1", "b": "2"}
    assert after == {"b": "2"}


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("/api/3.0/mlflow/traces/{}", lambda answer: answer["trace"]["trace_info"]["tags"]),
        ("/api/3.0/mlflow/traces/get?trace_id={}", lambda answer: answer["trace"]["trace_info"]["tags"]),
        (f"{API}/traces/{{}}/info", lambda answer: {t["key"]: t["value"] for t in answer["trace_info"]["tags"]}),
    ],
    ids=["3.0", "3.0 with spans", "2.0"],
)
def test_tags_of_a_trace_are_shown_at_once(beside: Beside, path: str, tags: Callable[[Any], dict[str, str]]) -> None:
    trace_id = beside.create_trace()
    for key in ("kept", "gone"):
        beside.plain("PATCH", f"/api/3.0/mlflow/traces/{trace_id}/tags", {"key": key, "value": "1"})
    beside.ask("PATCH", f"/api/3.0/mlflow/traces/{trace_id}/tags", {"key": "new", "value": "2"})
    beside.ask("DELETE", f"/api/3.0/mlflow/traces/{trace_id}/tags", {"key": "gone"})

    answer = beside.ask("GET", path.format(trace_id))

    assert answer.status_code == 200, answer.data
    found = tags(answer.json)
    assert {key: found.get(key) for key in ("kept", "gone", "new")} == {"kept": "1", "gone": None, "new": "2"}
    assert answer.headers["Bridge-Overlaid"] == "2"


@dataclass(frozen=True)
class Meanwhile:
    """Upstream answers, and before the answer arrives something else happens."""

    happen: Callable[[], object]

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:  # noqa: ARG002 - part of Fault
        answer = commit()
        self.happen()
        return answer


@contextmanager
def happening(front: SignatureFront, happen: Callable[[], object], times: int) -> Iterator[None]:
    left = [times]

    def once_more() -> None:
        left[0] -= 1
        happen()

    front.script(Meanwhile(once_more), times, matching=lambda _, path: path.endswith("/runs/get"))
    yield
    assert left == [0]


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_accepted_and_delivered_while_upstream_answers_is_not_taken_back(
    beside: Beside, front: SignatureFront, times: int
) -> None:
    """The older value, which was pending, would hide the newer one, which upstream had when it answered."""
    count = iter(range(1, 10))

    def set_and_deliver() -> None:
        beside.deliver()
        beside.do("set-tag", {"key": "a", "value": f"newer {next(count)}"})
        beside.deliver()

    beside.do("set-tag", {"key": "a", "value": "old"})
    with happening(front, set_and_deliver, times):
        ours, _ = beside.run()

    assert {"key": "a", "value": f"newer {times}"} in ours["data"]["tags"]


def test_what_is_delivered_between_the_looks_is_shown(beside: Beside, front: SignatureFront) -> None:
    beside.do("set-tag", {"key": "a", "value": "1"})
    with happening(front, beside.deliver, 1):
        ours, theirs = beside.run()

    assert ours == theirs


def test_without_the_store_a_read_is_answered_as_upstream_does(
    http_with: Callable[[dict[str, str]], Client], mlflow_url: str, beside: Beside
) -> None:
    away = http_with({"BRIDGE_STORE_URL": "redis://127.0.0.1:1/0"})

    answer = away.get(f"{API}/runs/get?run_id={beside.theirs}")

    assert answer.status_code == 200, mlflow_url
    assert "Bridge-Overlaid" not in answer.headers
