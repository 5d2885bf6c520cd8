# SPDX-License-Identifier: Apache-2.0
"""The bridge's processes in a company's network: a private authority, an egress proxy, an upstream that asks who comes.

Each system takes some seconds to start; what can be seen without processes is tested in `tests/integration`.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.errors import EX_CONFIG
from tests.enterprise import Authority, EgressProxy, Relay, TlsFront, own_address
from tests.servers import api_with, clean_environ, free_port, redis_at, running, script, wait_until, worker_with
from tests.signature_front import SignatureFront
from tests.sts_stub import StsStub
from tests.system import CREDENTIALS, System, system

#: Whole lives of processes.
pytestmark = pytest.mark.full


LOGIN = "bridge:s3cret-of-proxy"
UPSTREAM, STS = "mlflow.company.test", "sts.company.test"
ROLE = "arn:aws:iam::123456789012:role/writer"


@dataclass
class Company:
    """Its authority, and its proxy, which alone knows the way to upstream and to STS."""

    authority: Authority
    proxy: EgressProxy
    upstream: TlsFront


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def in_company(
    authority: Authority, mlflow_url: str, directory: Path, *, login: str | None, settings: Mapping[str, str]
) -> Iterator[tuple[System, Company]]:
    """A system that reaches SageMaker's door, which asks for a client certificate, through a proxy."""
    bridge = authority.issue("bridge.company.test")
    doors: list[str] = []
    with ExitStack() as stack:
        sts = stack.enter_context(StsStub())
        files = authority.issue(UPSTREAM, STS)
        # The api asks upstream for its version at once.
        upstream = stack.enter_context(TlsFront(files, lambda: wait_until(lambda: doors)[0], clients_of=authority))
        of_sts = stack.enter_context(TlsFront(files, lambda: sts.url))
        proxy = stack.enter_context(EgressProxy(login=login))
        proxy.places[f"{UPSTREAM}:443"] = lambda: f"http://127.0.0.1:{upstream.port}"
        proxy.places[f"{STS}:443"] = lambda: f"http://127.0.0.1:{of_sts.port}"
        environ = {
            "BRIDGE_UPSTREAM_ENDPOINT": f"https://{UPSTREAM}",
            "BRIDGE_ASSUME_ROLE_ARN": ROLE,
            "BRIDGE_UPSTREAM_CLIENT_CERTIFICATE": str(bridge[0]),
            "BRIDGE_UPSTREAM_CLIENT_KEY": str(bridge[1]),
            "AWS_ENDPOINT_URL_STS": f"https://{STS}",
            **{name: value.format(ca=authority.bundle, proxy=proxy.url) for name, value in settings.items()},
        }
        bridge_system = stack.enter_context(system(mlflow_url, directory, workers=1, settings=environ, examined=False))
        doors.append(bridge_system.front.url)
        sts.tell = bridge_system.front.accept
        yield bridge_system, Company(authority, proxy, upstream)


@pytest.mark.parametrize(
    ("login", "settings"),
    [
        (LOGIN, {"BRIDGE_CA_BUNDLE": "{ca}", "BRIDGE_PROXY": "{proxy}"}),
        (None, {"AWS_CA_BUNDLE": "{ca}", "https_proxy": "{proxy}", "NO_PROXY": "elsewhere.test"}),
    ],
)
def test_a_write_and_a_read_go_through_proxy_and_mutual_tls(
    login: str | None, settings: dict[str, str], authority: Authority, mlflow_url: str, short_dir: Path
) -> None:
    directory = short_dir / f"company-{bool(login)}"
    with in_company(authority, mlflow_url, directory, login=login, settings=settings) as (bridge, company):
        run_id = bridge.create_run()
        answer = bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 1})
        job = bridge.job(answer.headers["Job-Id"])
        read = bridge.http.get(f"{bridge.url}/api/2.0/mlflow/runs/get?run_id={run_id}", timeout=30)
        logs = "".join(server.child.log.read_text() for server in (bridge.api, *bridge.workers))

    assert job["status"] == "delivered"
    assert read.json()["run"]["data"]["metrics"][0]["key"] == "m"
    # Of the api and of the worker.
    assert len([line for line in company.proxy.asked if line.startswith(f"CONNECT {STS}:443 ")]) >= 2
    assert len([line for line in company.proxy.asked if line.startswith(f"CONNECT {UPSTREAM}:443 ")]) >= 2
    assert set(company.upstream.came) == {"CN=bridge.company.test"}
    assert "s3cret-of-proxy" not in logs


def test_a_proxy_that_refuses_its_login_holds_writes_up_and_loses_none(
    authority: Authority, mlflow_url: str, short_dir: Path
) -> None:
    settings = {"SSL_CERT_FILE": "{ca}", "HTTPS_PROXY": "{proxy}"}
    with in_company(authority, mlflow_url, short_dir / "login", login=LOGIN, settings=settings) as (bridge, company):
        run_id = bridge.create_run()
        company.proxy.login = "bridge:another"
        # Connections that are open stay so: those of the worker are made with its first call.
        answer = bridge.log("set-tag", {"run_id": run_id, "key": "t", "value": "v"})
        backlog = f"{bridge.url}/v1/runs/{run_id}/backlog"
        waiting = _until_tried(bridge, backlog)
        company.proxy.login = LOGIN
        job = bridge.job(answer.headers["Job-Id"], wait=60)

    assert waiting["pending"] == 1
    assert "no connection" in str(waiting["error"]) or "credentials" in str(waiting["error"])
    assert "another" not in str(waiting)
    assert job["status"] == "delivered"


def test_a_plain_upstream_is_reached_through_a_proxy_or_directly_where_no_proxy_says_so(
    mlflow_url: str, short_dir: Path
) -> None:
    store, store_url = redis_at(short_dir / "plain")
    with ExitStack() as stack:
        # MLflow answers under no such name as the one below; this door gives it its own.
        door = stack.enter_context(SignatureFront(mlflow_url, check=None))
        proxy = stack.enter_context(EgressProxy(login=LOGIN))
        relay = stack.enter_context(Relay(lambda: door.url))
        address = own_address()
        # Under the machine's own address, for loopback is never proxied.
        upstream = f"http://{address}:{relay.port}"
        proxy.places[f"{address}:{relay.port}"] = lambda: door.url
        environ = {"BRIDGE_STORE_URL": store_url, "BRIDGE_UPSTREAM": upstream, "HTTP_PROXY": proxy.url}
        api, url = api_with(environ, short_dir / "plain")
        direct, direct_url = api_with({**environ, "NO_PROXY": f"other, {address}"}, short_dir / "plain-direct")
        worker = worker_with(environ, short_dir / "plain", "worker")
        stack.enter_context(running(store, api, direct, worker))
        run_id = _created(url)
        through = len(of_runs(proxy))
        read = requests.get(f"{direct_url}/api/2.0/mlflow/runs/get?run_id={run_id}", timeout=30)
        directly = len(of_runs(proxy))
        body: dict[str, Any] = {"run_id": run_id, "key": "m", "value": 1}
        answer = requests.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=30)
        job = requests.get(
            f"{url}/v1/jobs/{answer.headers['Job-Id']}", headers={"Prefer": "wait=30"}, timeout=40
        ).json()

    assert (through, directly, read.status_code) == (1, 1, 200)
    assert relay.connections
    assert job["status"] == "delivered"
    asked = of_runs(proxy)
    assert asked[0] == f"POST {upstream}/api/2.0/mlflow/runs/create HTTP/1.1"
    assert any(f"{upstream}/api/2.0/mlflow/runs/log-" in line for line in asked[1:])


@pytest.mark.parametrize("command", ["mlflow-bridge-api", "mlflow-bridge-worker"])
def test_a_process_does_not_start_with_a_bundle_that_can_not_be_read(command: str, tmp_path: Path) -> None:
    environ = clean_environ() | {
        "BRIDGE_STORE_URL": "redis://127.0.0.1:1",
        "BRIDGE_UPSTREAM": "http://127.0.0.1:1",
        "BRIDGE_PORT": str(free_port()),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem"),
    }
    done = subprocess.run([script(command)], env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == EX_CONFIG
    assert (
        f"REQUESTS_CA_BUNDLE={tmp_path}/none.pem can't be used (No such file or directory): name a file" in done.stderr
    )
    assert CREDENTIALS.secret_key not in done.stderr


def of_runs(proxy: EgressProxy) -> list[str]:
    """What the proxy was asked for by clients. The api also asks upstream for its version, and tries calls."""
    return [line for line in proxy.asked if "/runs/" in line and "/runs/outputs" not in line]


def _created(url: str) -> str:
    answer = requests.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run"]["info"]["run_id"])


def _until_tried(bridge: System, backlog: str) -> dict[str, object]:
    found: dict[str, object] = wait_until(
        lambda: (told := bridge.http.get(backlog, timeout=30).json())["attempts"] and told
    )
    return found
