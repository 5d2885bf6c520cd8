# SPDX-License-Identifier: Apache-2.0
"""Sessions of the role in clients' names: STS on loopback, SageMaker's door, a real store and a real MLflow."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from bridge.auth.api_keys import new_key
from bridge.bootstrap.processes import Api, build_api, build_worker
from bridge.config.environment import read_settings
from bridge.redis_store.outbox import connect
from bridge.upstream import Denied
from bridge.upstream.aws.credentials import session_name
from bridge.upstream.mlflow_calls import single_call
from schemas.client import Client, Scope
from tests.asgi_client import client_of
from tests.factories import metric
from tests.servers import Server
from tests.signature_front import Call, SignatureFront
from tests.sts_stub import StsStub
from tests.system import ARN, CREDENTIALS, signature_front

ROLE = "arn:aws:iam::123456789012:role/writer"
ANN, BOB = "ann", "oidc:auth0|bob"
RUNS = "/api/2.0/mlflow/runs"


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StsStub]:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with StsStub() as stub:
        for name, value in stub.environ(CREDENTIALS).items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def front(mlflow_url: str, sts: StsStub) -> Iterator[SignatureFront]:
    """A door for those who have a session of the role, and for nobody else."""
    with signature_front(mlflow_url) as door:
        door.accept()
        sts.tell = door.accept
        yield door


class Bridge:
    """The api and a worker in this process, and two clients with keys."""

    def __init__(self, environ: dict[str, str], http: Callable[[Api], Http]) -> None:
        settings = read_settings(environ)
        self.api, self.worker = build_api(settings), build_worker(settings)
        self.http = http(self.api)
        self.keys = {name: self._key(name) for name in (ANN, BOB)}

    def _key(self, name: str) -> str:
        key = new_key()
        self.api.api_keys.put_client(Client(name=name, scopes=(Scope.WRITE, Scope.READ)))
        self.api.api_keys.add_key(name, key, now=dt.datetime.now(dt.UTC), expires_at=None)
        return key.text

    def ask(self, client: str, method: str, path: str, body: dict[str, Any] | None = None) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.keys[client]}"}
        data = None if body is None else json.dumps(body)
        return self.http.open(path, method=method, headers=headers, data=data, content_type="application/json")

    def create_run(self, client: str) -> str:
        answer = self.ask(client, "POST", f"{RUNS}/create", {"experiment_id": "0"})
        assert answer.json, answer.data
        return str(answer.json["run"]["info"]["run_id"])

    def log(self, client: str, run_id: str, step: int) -> str:
        body = {"run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": 1}
        answer = self.ask(client, "POST", f"{RUNS}/log-metric", body)
        assert answer.status_code == 200, answer.data
        return answer.headers["Job-Id"]

    def steps(self, client: str, run_id: str) -> list[int]:
        answer = self.ask(client, "GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=m")
        assert answer.json, answer.data
        return [point["step"] for point in answer.json["metrics"]]


@pytest.fixture
def bridge_with(redis_server: tuple[Server, str], front: SignatureFront) -> Iterator[Callable[..., Bridge]]:
    connect(redis_server[1], timeout=dt.timedelta(seconds=5), connections=1).flushall()
    environ = {
        "BRIDGE_STORE_URL": redis_server[1],
        "BRIDGE_UPSTREAM": ARN,
        "BRIDGE_UPSTREAM_ENDPOINT": front.url,
        "BRIDGE_ASSUME_ROLE_ARN": ROLE,
        "BRIDGE_AUTH": "keys",
        "BRIDGE_READ_YOUR_WRITES_TIMEOUT": "1ms",
    }
    opened: list[Any] = []

    def http(api: Api) -> Http:
        opened.append(client_of(api))
        client: Http = opened[-1].__enter__()
        return client

    yield lambda **further: Bridge({**environ, **further}, http)
    for each in opened:
        each.__exit__(None, None, None)


def signer_of(call: Call, sts: StsStub) -> str:
    """Whose session a call was signed with: the name that STS has been told."""
    found = re.search("Credential=(\\w+)/", call.headers["authorization"])
    assert found
    return next(name for name, given in sts.given.items() for one in given if one.access_key == found[1])


def test_writes_and_reads_of_two_clients_reach_upstream_in_their_names(
    bridge_with: Callable[..., Bridge], front: SignatureFront, sts: StsStub
) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client")
    run_id = bridge.create_run(ANN)
    for client, step in [(ANN, 1), (ANN, 2), (BOB, 3), (ANN, 4)]:
        bridge.log(client, run_id, step)
    # A turn may be over before all three calls are made.
    while bridge.worker.outbox.extents([run_id])[run_id].pending:
        bridge.worker.delivery.deliver(run_id)
    read = bridge.steps(BOB, run_id)

    calls = [(call.path.rpartition("/")[2], signer_of(call, sts)) for call in front.calls]

    bob = session_name(BOB)
    assert bob.startswith("oidc-auth0-bob=")
    assert calls == [
        ("create", ANN),
        ("log-batch", ANN),
        ("log-metric", bob),
        ("log-metric", ANN),
        ("get-history", bob),
    ]
    assert read == [1, 2, 3, 4]
    assert {one.access_key for given in sts.given.values() for one in given} == {
        call.headers["authorization"].partition("Credential=")[2].partition("/")[0] for call in front.calls
    }
    # The api and the worker, each a process of its own elsewhere, have asked once for each client.
    assert sorted(asked["RoleSessionName"] for asked in sts.asked) == sorted([ANN, ANN, bob, bob])
    assert {asked["RoleArn"] for asked in sts.asked} == {ROLE}
    assert not any("SourceIdentity" in asked for asked in sts.asked)


def test_the_source_identity_is_set_where_it_is_wanted(bridge_with: Callable[..., Bridge], sts: StsStub) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="source")
    bridge.create_run(ANN)
    bridge.create_run(BOB)
    bridge.api.upstream.probe()

    named = [(asked["RoleSessionName"], asked["SourceIdentity"]) for asked in sts.asked]

    assert named == [(name, name) for name in (ANN, session_name(BOB), "mlflow-bridge")]


def test_without_the_setting_there_is_one_session_and_writes_of_clients_share_a_call(
    bridge_with: Callable[..., Bridge], front: SignatureFront, sts: StsStub
) -> None:
    bridge = bridge_with()
    run_id = bridge.create_run(ANN)
    for client, step in [(ANN, 1), (BOB, 2), (ANN, 3)]:
        bridge.log(client, run_id, step)
    bridge.worker.delivery.deliver(run_id)

    assert [call.path.rpartition("/")[2] for call in front.calls] == ["create", "log-batch"]
    assert {signer_of(call, sts) for call in front.calls} == {"mlflow-bridge"}


@pytest.mark.usefixtures("front")
def test_a_client_who_is_denied_a_session_waits_alone(bridge_with: Callable[..., Bridge], sts: StsStub) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client")
    anns, bobs = bridge.create_run(ANN), bridge.create_run(ANN)
    sts.refusals[session_name(BOB)] = ("AccessDenied", "not authorized to perform: sts:AssumeRole")
    late, well = bridge.log(BOB, bobs, 1), bridge.log(ANN, anns, 1)
    asked = len(sts.asked)

    bridge.worker.delivery.deliver(bobs)
    bridge.worker.delivery.deliver(anns)
    reads = [bridge.ask(BOB, "GET", f"{RUNS}/get?run_id={bobs}").status_code for _ in range(5)]
    while_denied = bridge.ask(BOB, "GET", f"/v1/jobs/{late}").json
    assert bridge.api.flow_control.state().breaker == "closed"
    assert bridge.ask(ANN, "GET", f"/v1/jobs/{well}").json["status"] == "delivered"  # type: ignore[index] # it is there

    assert while_denied
    assert while_denied["status"] == "pending"
    assert "AccessDenied" in while_denied["error"]["message"]
    assert reads == [502] * 5
    denied = [each["RoleSessionName"] for each in sts.asked[asked:] if each["RoleSessionName"] == session_name(BOB)]
    assert len(denied) == 2, "once by the worker and once by the api, however often he asks"


def test_a_call_that_is_denied_to_one_client_opens_no_breaker_and_a_wrong_signature_does(
    bridge_with: Callable[..., Bridge], front: SignatureFront, sts: StsStub
) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client", BRIDGE_UPSTREAM=f"{ARN}-of-others")
    run = "0" * 32
    bridge.log(ANN, run, 1)
    bridge.worker.delivery.deliver(run)
    denied = bridge.api.flow_control.state()

    sts.tell = lambda *_: None
    front.accept()
    bridge.log(BOB, "1" * 32, 1)
    bridge.worker.delivery.deliver("1" * 32)
    unknown = bridge.api.flow_control.state()

    assert front.calls[0].status == 403
    assert denied.breaker == "closed"
    assert unknown.breaker != "closed"
    assert "UnrecognizedClient" in str(unknown.reason)


def test_a_role_that_nobody_can_assume_opens_the_breaker(
    bridge_with: Callable[..., Bridge], sts: StsStub, front: SignatureFront
) -> None:
    sts.refusals["AssumeRole"] = ("ExpiredToken", "the bridge's own have ended")
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client")
    bridge.log(ANN, "0" * 32, 1)
    bridge.worker.delivery.deliver("0" * 32)

    assert bridge.api.flow_control.state().breaker != "closed"
    assert front.calls == []


def test_a_run_by_name_is_created_in_its_clients_name(
    bridge_with: Callable[..., Bridge], front: SignatureFront, sts: StsStub
) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client")
    answer = bridge.ask(BOB, "POST", "/v1/runs", {"run": "nightly/1", "start_time": 1})
    assert answer.status_code in (200, 201, 202), answer.data

    for due in bridge.worker.outbox.due(limit=5, guard=dt.timedelta(milliseconds=1)):
        bridge.worker.delivery.deliver(due.lane)

    assert [call.path.rpartition("/")[2] for call in front.calls] == ["search", "create"]
    assert {signer_of(call, sts) for call in front.calls} == {session_name(BOB)}


def test_what_is_unavailable_to_a_client_alone_is_said_so(
    bridge_with: Callable[..., Bridge], front: SignatureFront
) -> None:
    bridge = bridge_with(BRIDGE_ASSUME_ROLE_SESSION_NAME="client", BRIDGE_UPSTREAM=f"{ARN}-of-others")
    call = single_call(metric(1))

    of_ann, of_bridge = bridge.api.upstream.send(replace(call, client=ANN)), bridge.api.upstream.send(call)

    assert isinstance(of_ann, Denied)
    assert isinstance(of_bridge, Denied)
    assert of_ann.reason == "AWS denies the bridge the action LogMetric (AccessDeniedException)"
    assert len(front.calls) == 2
