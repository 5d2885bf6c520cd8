# SPDX-License-Identifier: Apache-2.0
"""Calls can be proxied or refused by their action, without a deployment of code and without a write out of order."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from api import composition
from bridge.bootstrap.processes import build_worker
from bridge.config.environment import read_settings
from bridge.config.parsers import duration
from bridge.errors import InvalidSettings
from schemas.endpoints import Handling
from tests.signature_front import SignatureFront

RUNS = "/api/2.0/mlflow/runs"
REQUIRED = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL": "redis://store.example"}
With = Callable[[dict[str, str]], Client]


def post(http: Client, call: str, body: Any, **headers: str) -> TestResponse:
    return http.post(f"{RUNS}/{call}", data=json.dumps(body), content_type="application/json", headers=headers)


def metric(run_id: str, step: int) -> dict[str, Any]:
    return {"run_id": run_id, "key": "m", "value": step, "timestamp": 1, "step": step}


def create_run(http: Client) -> str:
    answer = post(http, "create", {"experiment_id": "0"})
    assert answer.json
    return str(answer.json["run"]["info"]["run_id"])


def logged(front: SignatureFront) -> list[int]:
    """The steps of the metrics that upstream has received, in order."""
    bodies = [json.loads(call.body) for call in front.calls if "/runs/log-" in call.path]
    return [point["step"] for body in bodies for point in body.get("metrics", [body])]


def test_a_proxied_write_is_answered_by_upstream_and_others_are_queued(http_with: With, front: SignatureFront) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": "LogMetric:proxied"})
    run_id = create_run(http)

    proxied = post(http, "log-metric", metric(run_id, 1))
    queued = post(http, "set-tag", {"run_id": run_id, "key": "k", "value": "v"})

    assert (proxied.status_code, proxied.json, "Job-Id" in proxied.headers) == (200, {}, False)
    assert (queued.status_code, "Job-Id" in queued.headers) == (200, True)
    assert logged(front) == [1]


def test_a_group_is_switched_as_a_whole_but_for_the_actions_that_are_named(http_with: With) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": "LogMetric:queued,writes:proxied"})
    run_id = create_run(http)

    # The proxied one first: behind a queued write it would wait for a worker.
    proxied = post(http, "log-parameter", {"run_id": run_id, "key": "k", "value": "v"})
    queued = post(http, "log-metric", metric(run_id, 1))

    assert (proxied.status_code, "Job-Id" in proxied.headers) == (200, False)
    assert (queued.status_code, "Job-Id" in queued.headers) == (200, True)


def test_a_refused_action_is_refused_whether_it_is_queued_or_proxied(http_with: With, front: SignatureFront) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": "LogMetric:refused,DeleteRun:refused"})
    run_id = create_run(http)
    before = len(front.calls)

    answers = [post(http, "log-metric", metric(run_id, 1)), post(http, "delete", {"run_id": run_id})]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert [answer.json["error_code"] for answer in answers if answer.json] == ["PERMISSION_DENIED"] * 2
    assert "does not accept LogMetric here for now" in answers[0].text
    assert len(front.calls) == before


@pytest.mark.parametrize("mode", ["proxied", "refused"])
def test_a_request_with_many_writes_takes_none_of_a_kind_that_is_not_queued(http_with: With, mode: str) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": f"LogMetric:{mode}"})
    run_id = create_run(http)
    write = {"op": "log-metric", **metric(run_id, 1)}

    answer = http.post("/v1/writes", json={"writes": [write]})

    assert answer.status_code == 403
    assert "does not accept LogMetric here for now" in answer.text


@pytest.mark.parametrize(("mode", "status"), [("proxied", 202), ("refused", 403)])
def test_a_run_by_name_is_created_unless_its_action_is_refused(http_with: With, mode: str, status: int) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": f"CreateRun:{mode}"})

    alone = http.post("/v1/runs", json={"run": "nightly"})
    among_others = http.post("/v1/writes", json={"writes": [{"op": "create-run", "run": "nightly"}]})

    assert [alone.status_code, among_others.status_code] == [status] * 2


def test_readiness_reports_the_modes(http_with: With) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": "SetTag:proxied"})

    assert http.get("/readyz").json["action_modes"] == {"SetTag": "proxied"}  # type: ignore[index] # a document
    assert http_with({}).get("/readyz").json["action_modes"] == {}  # type: ignore[index]


def test_a_proxied_write_waits_for_the_queued_ones_before_it(
    http_with: With, front: SignatureFront, environ: dict[str, str]
) -> None:
    queueing, proxying = http_with({}), http_with({"BRIDGE_ACTION_MODES": "writes:proxied"})
    run_id = create_run(queueing)
    for step in (1, 2, 3):
        assert "Job-Id" in post(queueing, "log-metric", metric(run_id, step)).headers
    answers: list[TestResponse] = []
    last = threading.Thread(target=lambda: answers.append(post(proxying, "log-metric", metric(run_id, 4))))

    last.start()
    last.join(0.5)
    assert (last.is_alive(), logged(front)) == (True, []), "nothing overtakes the queue"
    build_worker(read_settings(environ)).delivery.deliver(run_id)
    last.join(30)

    assert [answer.status_code for answer in answers] == [200]
    assert logged(front) == [1, 2, 3, 4]


def test_a_proxied_write_is_to_be_repeated_while_the_queue_is_not_delivered(
    http_with: With, front: SignatureFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "_WRITE_ORDER_TIMEOUT", duration("100ms"))
    queueing, proxying = http_with({}), http_with({"BRIDGE_ACTION_MODES": "writes:proxied"})
    run_id, other = create_run(queueing), create_run(queueing)
    post(queueing, "log-metric", metric(run_id, 1))

    answer, of_other = (post(proxying, "log-metric", metric(each, 2)) for each in (run_id, other))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert of_other.status_code == 200, "another run has no earlier write"
    assert logged(front) == [2]


def test_an_invalid_write_is_refused_by_upstream_itself(http_with: With) -> None:
    http = http_with({"BRIDGE_ACTION_MODES": "writes:proxied"})

    answer = post(http, "log-metric", {"run_id": "none"})

    assert answer.status_code == 400
    assert answer.json
    assert answer.json["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("SetTag:proxied", {"SetTag": Handling.PROXIED}),
        (" SetTag:proxied , DeleteRun:refused", {"SetTag": Handling.PROXIED, "DeleteRun": Handling.REFUSED}),
    ],
)
def test_modes_are_read(text: str, modes: dict[str, Handling]) -> None:
    assert read_settings(REQUIRED | {"BRIDGE_ACTION_MODES": text}).action_modes == modes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SetTagg:proxied", "`mlflow-bridge keys actions` lists the actions"),
        ("SetTag", "each name once, with queued, proxied or refused"),
        ("SetTag:off", "each name once"),
        ("SetTag:proxied,SetTag:queued", "each name once"),
        ("CreateRun:queued", "the bridge can't queue CreateRun"),
        ("reads:queued", "the bridge can't queue reads"),
    ],
)
def test_a_mode_that_means_nothing_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidSettings, match="BRIDGE_ACTION_MODES") as caught:
        read_settings(REQUIRED | {"BRIDGE_ACTION_MODES": text})

    assert reason in str(caught.value)
