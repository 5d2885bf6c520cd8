# SPDX-License-Identifier: Apache-2.0
"""What upstream does not allow the bridge holds up the run that asks for it, and no other."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import Server, api_with, clean_environ, mlflow_at, redis_at, running, wait_until, worker_with
from tests.system import System, system
from tests.upstream_faults import Answer

#: Minutes of deliveries.
pytestmark = pytest.mark.full


DENIED = Answer(
    403,
    {"x-amzn-ErrorType": "AccessDeniedException", "Content-Type": "application/json"},
    b'{"Message": "User: arn:aws:sts::123456789012:assumed-role/bridge/x is not authorized to perform this action"}',
)
RUNS = 30
DATASET = {"dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "{}"}}
LONG_GRACE, SHORT_GRACE = "15m", "2s"


@pytest.fixture(scope="module")
def impatient(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    """A bridge that gives up on what is denied after two seconds."""
    with system(mlflow_url, short_dir / "impatient", settings={"BRIDGE_DENIAL_GRACE": SHORT_GRACE}) as found:
        yield found


def is_log_inputs(_method: str, target: str) -> bool:
    return target.endswith("/runs/log-inputs")


def log_inputs(bridge: System, run_id: str) -> str:
    return bridge.log("log-inputs", {"run_id": run_id, "datasets": [DATASET]}).headers["Job-Id"]


def metrics(bridge: System) -> str:
    return requests.get(f"{bridge.url}/metrics", timeout=30).text


def log_metric(bridge: System, run_id: str, step: int) -> str:
    metric = {"run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": 1}
    return bridge.log("log-metric", metric).headers["Job-Id"]


def test_one_denied_action_stops_nobody_else_and_ends_when_it_is_allowed(bridge: System) -> None:
    bridge.front.set_fault(DENIED, matching=is_log_inputs)
    try:
        denied = [log_inputs(bridge, bridge.create_run()) for _ in range(RUNS)]
        bridge.front.wait_for_calls(RUNS, matching=is_log_inputs, timeout=30)
        other = bridge.create_run()
        delivered = [bridge.job(log_metric(bridge, other, step), wait=20)["status"] for step in range(10)]
        waiting = [bridge.job(job_id, wait=0) for job_id in denied]
        wait_until(lambda: 'lanes_denied_total{action="LogInputs"}' in metrics(bridge))
        breaker = 'mlflow_bridge_circuit_breaker_state{state="closed"} 1' in metrics(bridge)
    finally:
        bridge.front.set_fault(None)

    assert delivered == ["delivered"] * 10
    assert {(job["status"], job["error"]["reason"]) for job in waiting} == {("pending", "denied")}
    assert {job["error"]["message"] for job in waiting} == {
        "AWS denies the bridge the action LogInputs (AccessDeniedException)"
    }
    assert breaker
    assert {bridge.job(job_id, wait=60)["status"] for job_id in denied} == {"delivered"}


def test_after_the_grace_it_is_a_dead_letter_that_can_be_replayed_and_its_run_goes_on(impatient: System) -> None:
    bridge, run_id = impatient, impatient.create_run()
    bridge.front.set_fault(DENIED, matching=is_log_inputs)
    try:
        denied, behind = log_inputs(bridge, run_id), log_metric(bridge, run_id, 1)
        dead, after = bridge.job(denied, wait=30), bridge.job(behind, wait=30)
    finally:
        bridge.front.set_fault(None)
    letters = requests.get(f"{bridge.url}/v1/dead-letters?reason=denied", timeout=30).json()["letters"]
    replayed = requests.post(f"{bridge.url}/v1/dead-letters/{letters[0]['letter_id']}/replay", timeout=30)

    assert (dead["status"], dead["error"]["reason"], dead["upstream"]["status"]) == ("dead", "denied", 403)
    assert after["status"] == "delivered"
    assert [letter["job_id"] for letter in letters] == [denied]
    assert replayed.status_code < 300, replayed.text
    assert bridge.job(denied)["status"] == "delivered"


def test_where_everything_is_denied_nothing_becomes_a_dead_letter(impatient: System) -> None:
    bridge, run_id = impatient, impatient.create_run()
    bridge.front.set_fault(DENIED)
    try:
        job_id = log_metric(bridge, run_id, 1)
        wait_until(lambda: bridge.job(job_id, wait=0)["attempts"] >= 3, timeout=60)
        meanwhile = bridge.job(job_id, wait=0)
        read = requests.get(f"{bridge.url}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=30)
    finally:
        bridge.front.set_fault(None)

    assert (meanwhile["status"], meanwhile["error"]["reason"]) == ("pending", "denied")
    assert (read.status_code, read.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert "arn:aws" not in read.text
    assert bridge.job(job_id, wait=60)["status"] == "delivered"


@dataclass
class Permissions:
    """A real MLflow with users, and a bridge before it that logs in as one of them."""

    mlflow_url: str
    bridge_url: str
    admin: requests.Session

    def call(self, path: str, body: dict[str, Any], *, version: str = "2.0") -> dict[str, Any]:
        answer = self.admin.post(f"{self.mlflow_url}/api/{version}/mlflow/{path}", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def let_edit(self, experiment_id: str) -> None:
        grant = {
            "username": "bridge",
            "resource_type": "experiment",
            "resource_id": experiment_id,
            "permission": "EDIT",
        }
        self.call("users/permissions/grant", grant, version="3.0")

    def create_run(self, experiment_id: str) -> str:
        return str(self.call("runs/create", {"experiment_id": experiment_id})["run"]["info"]["run_id"])

    def log(self, run_id: str) -> str:
        body: dict[str, Any] = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
        return requests.post(f"{self.bridge_url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=30).headers[
            "Job-Id"
        ]

    def job(self, job_id: str, *, wait: int) -> dict[str, Any]:
        headers = {"Prefer": f"wait={wait}"}
        found: dict[str, Any] = requests.get(
            f"{self.bridge_url}/v1/jobs/{job_id}", headers=headers, timeout=wait + 30
        ).json()
        return found


@pytest.fixture(scope="module")
def permissions(short_dir: Path) -> Iterator[Permissions]:
    directory = short_dir / "permissions"
    directory.mkdir()
    password = secrets.token_hex(12)
    mlflow, mlflow_url = with_logins(directory, password)
    store, store_url = redis_at(directory)
    environ = {
        "BRIDGE_STORE_URL": store_url,
        "BRIDGE_UPSTREAM": mlflow_url.replace("://", f"://bridge:{password}@"),
    }
    api, url = api_with(environ, directory)
    with running(mlflow, store, worker_with(environ, directory, "worker"), api):
        admin = requests.Session()
        admin.auth = ("admin", password)
        found = Permissions(mlflow_url, url, admin)
        found.call("users/create", {"username": "bridge", "password": password})
        yield found


def with_logins(directory: Path, password: str) -> tuple[Server, str]:
    """Return MLflow with its own login, which lets a user read all and edit what the user is allowed to."""
    config = directory / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{directory}/auth.db\nadmin_username = admin\n"
        f"admin_password = {password}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server, url = mlflow_at(directory / "mlflow")
    server.child.command = [*server.child.command, "--app-name=basic-auth"]
    server.child.environ = {
        **clean_environ(),
        **server.child.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
    }
    return server, url


def test_runs_of_an_experiment_that_upstreams_own_login_does_not_allow_wait_alone(permissions: Permissions) -> None:
    allowed, forbidden = (
        str(permissions.call("experiments/create", {"name": name})["experiment_id"]) for name in ("ours", "theirs")
    )
    permissions.let_edit(allowed)
    # MLflow hashes a password for each call, at a tenth of a second: few runs prove as much.
    denied = [permissions.log(permissions.create_run(forbidden)) for _ in range(3)]
    run_id = permissions.create_run(allowed)

    wait_until(lambda: permissions.job(denied[-1], wait=0)["error"])
    delivered = [permissions.job(permissions.log(run_id), wait=20)["status"] for _ in range(3)]
    waiting = permissions.job(denied[-1], wait=0)
    permissions.let_edit(forbidden)

    assert delivered == ["delivered"] * 3
    assert (waiting["status"], waiting["error"]["reason"]) == ("pending", "denied")
    wait_until(lambda: any(permissions.job(job_id, wait=0)["status"] == "delivered" for job_id in denied), timeout=60)
