# SPDX-License-Identifier: Apache-2.0
"""An upstream in trouble: clients don't notice, the backlog waits and drains by itself."""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.amounts import amount
from tests.servers import (
    Server,
    clean_environ,
    free_port,
    get_ok,
    process,
    redis_at,
    running,
    script,
    wait_until,
    worker_with,
)
from tests.system import System
from tests.upstream_faults import Answer, AnswerAfterCommit, CutAfterCommit, CutBeforeSend, Fault

TROUBLE: dict[str, Fault] = {
    "down": CutBeforeSend(),
    "throttling": Answer(429, {"Retry-After": "1"}, b'{"message": "Rate exceeded"}'),
    "throttling as AWS's control plane does": Answer(
        400, {"x-amzn-ErrorType": "ThrottlingException"}, b'{"message": "Rate exceeded"}'
    ),
    "stopped": Answer(404, {"Content-Type": "text/plain"}, b"Tracking server could not be found"),
    "expired credentials": Answer(
        403,
        {"x-amzn-ErrorType": "ExpiredTokenException"},
        b'{"message": "The security token included in the request is expired"}',
    ),
    "a gateway's error page": Answer(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"),
    "a captive portal": Answer(200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>"),
    "cut off after the commit": CutAfterCommit(),
    "a timeout's answer after the commit": AnswerAfterCommit(Answer(504, {}, b"")),
}


#: What the suite of faults does not put the bridge through; that one judges every write under the others.
ONLY_HERE = ["stopped", "a captive portal", "throttling as AWS's control plane does"]


@pytest.mark.parametrize("trouble", amount(ONLY_HERE, list(TROUBLE)))
def test_writes_are_accepted_and_delivered_once_when_it_is_over(bridge: System, trouble: str) -> None:
    fault = TROUBLE[trouble]
    run_id = bridge.create_run()
    before = len(bridge.front.calls)
    bridge.front.set_fault(fault)

    jobs = [
        bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": i, "step": i, "timestamp": 1 + i})
        for i in range(20)
    ]
    bridge.front.wait_for_calls(before + 2, timeout=30)
    waiting = wait_until(lambda: (d := bridge.job(jobs[0].headers["Job-Id"], wait=0))["attempts"] and d)
    bridge.front.set_fault(None)

    assert [job.status_code for job in jobs] == [200] * 20
    assert waiting["status"] == "pending"
    assert waiting["error"]["reason"] in ("unavailable", "unknown")
    assert waiting["next_attempt_at"]
    assert [bridge.job(job.headers["Job-Id"])["status"] for job in jobs] == ["delivered"] * 20
    assert sorted(point["step"] for point in bridge.history(run_id, "m")) == list(range(20))


def test_a_call_that_may_have_arrived_is_repeated_byte_for_byte(bridge: System) -> None:
    run_id = bridge.create_run()
    before = len(bridge.front.calls)
    bridge.front.script(CutAfterCommit(), matching=lambda _, path: "/runs/log-" in path)

    first = bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 1, "step": 1})
    bridge.front.wait_for_calls(before + 1)
    bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 2, "step": 2})

    assert bridge.job(first.headers["Job-Id"])["attempts"] == 2
    calls = [call for call in bridge.front.calls[before:] if "/runs/log-" in call.path]
    assert calls[0].body == calls[1].body
    bridge.drained()
    assert [point["step"] for point in bridge.history(run_id, "m")] == [1, 2]


def test_a_read_of_an_upstream_in_trouble_is_answered_in_mlflows_shape(bridge: System) -> None:
    bridge.front.set_fault(CutBeforeSend())
    cut = bridge.http.get(f"{bridge.url}/api/2.0/mlflow/runs/get?run_id=x", timeout=30)
    bridge.front.set_fault(TROUBLE["expired credentials"])
    refused = bridge.http.get(f"{bridge.url}/api/2.0/mlflow/runs/get?run_id=x", timeout=30)

    assert (cut.status_code, cut.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
    assert (refused.status_code, refused.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
    assert "token" not in refused.text


def test_while_upstream_is_down_it_is_asked_ever_less_often_and_readiness_says_why(bridge: System) -> None:
    runs = [bridge.create_run() for _ in range(10)]
    before = len(bridge.front.calls)
    bridge.front.set_fault(TROUBLE["expired credentials"])

    jobs = [bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 1}).headers["Job-Id"] for run_id in runs]
    ready = wait_until(lambda: (report := bridge.ready())["upstream"]["gate"]["breaker"] != "closed" and report)
    bridge.front.wait_for_calls(before + 3, timeout=30)
    attempts = [call for call in bridge.front.calls[before:] if "/runs/log-" in call.path]
    bridge.front.set_fault(None)

    assert ready["status"] == "degraded"
    assert "ExpiredToken" in ready["upstream"]["gate"]["reason"]
    assert len(attempts) <= 10, "one probe at a time, not one call for each run and worker"
    assert [bridge.job(job)["status"] for job in jobs] == ["delivered"] * 10
    wait_until(lambda: bridge.ready()["upstream"]["gate"]["breaker"] == "closed")


@pytest.mark.full
def test_a_bridge_that_is_its_own_upstream_says_so_and_goes_round_in_no_circle(short_dir: Path) -> None:
    store, store_url = redis_at(short_dir / "own-store")
    url = f"http://127.0.0.1:{(port := free_port())}"
    environ = clean_environ() | {
        "BRIDGE_STORE_URL": store_url,
        "BRIDGE_UPSTREAM": url,
        "BRIDGE_PORT": str(port),
    }
    own = short_dir / "own"
    api = Server(process("api", [script("mlflow-bridge-api")], environ, own, lambda: get_ok(f"{url}/healthz")))
    run_id = "5" * 32
    with running(store, api, worker_with(environ, own, "worker")):
        read = requests.get(f"{url}/api/2.0/mlflow/runs/get?run_id={run_id}", timeout=30)
        log: dict[str, Any] = {"run_id": run_id, "key": "m", "value": 1}
        requests.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=log, timeout=30).raise_for_status()
        waiting = wait_until(
            lambda: (b := requests.get(f"{url}/v1/runs/{run_id}/backlog", timeout=30).json())["attempts"] and b
        )
        command = [script("mlflow-bridge"), "doctor"]
        told = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert (read.status_code, read.json()["error_code"]) == (508, "LOOP_DETECTED")
    assert "BRIDGE_UPSTREAM must be the URL of an MLflow server" in read.json()["message"]
    assert (waiting["pending"], "508" in str(waiting["error"])) == (1, True), "it waits for the setting to be mended"
    assert told.returncode == 1
    assert "it is this bridge itself" in told.stdout


@pytest.mark.full
def test_bridges_that_lead_to_each_other_say_so_whoever_asks_them(short_dir: Path) -> None:
    ports = [free_port() for _ in range(3)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    stores = [redis_at(short_dir / f"ring-{number}") for number in range(3)]
    apis = []
    # The first two lead to each other, the third to them.
    for number, upstream in enumerate((urls[1], urls[0], urls[0])):
        environ = clean_environ() | {
            "BRIDGE_STORE_URL": stores[number][1],
            "BRIDGE_UPSTREAM": upstream,
            "BRIDGE_PORT": str(ports[number]),
        }
        ready = partial(get_ok, f"{urls[number]}/healthz")
        apis.append(Server(process(f"api-{number}", [script("mlflow-bridge-api")], environ, short_dir / "ring", ready)))
    with running(*(store for store, _ in stores), *apis):
        answers = [requests.get(f"{url}/api/2.0/mlflow/runs/get?run_id=x", timeout=30) for url in urls]

    assert [(each.status_code, each.json()["error_code"]) for each in answers] == [(508, "LOOP_DETECTED")] * 3


@pytest.mark.parametrize(
    "via",
    ["1.1 mlflow-bridge-0123456789abcdef", "1.1 a, 1.1 mlflow-bridge-0123456789abcdef", "\xff", ",,,", "mlflow-bridge"],
)
def test_a_request_that_came_through_others_is_served(bridge: System, via: str) -> None:
    url = f"{bridge.url}/api/2.0/mlflow/runs/get?run_id={bridge.create_run()}"

    read = bridge.http.get(url, headers={"Via": via.encode("latin-1")}, timeout=30)

    assert read.status_code == 200
    sent = [call.headers["via"] for call in bridge.front.calls if "/runs/get" in call.path][-1].split(", ")
    assert sent[:-1] == (["1.1 mlflow-bridge-0123456789abcdef"] if "0123" in via else [])
    assert sent[-1].startswith("1.1 mlflow-bridge-")
