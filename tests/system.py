# SPDX-License-Identifier: Apache-2.0
"""A whole bridge of real processes before a signature-checking front and a real MLflow server."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.servers import Server, api_with, redis_at, running, wait_until, worker_with
from tests.signature_check import APP, TRACKING_SERVER, Credentials, SignatureCheck
from tests.signature_front import SignatureFront

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/tests"
CREDENTIALS = Credentials("ASIATESTTESTTESTTEST", "a-secret-that-only-tests-know", "a-session-token")
LOG_BATCH = "/api/2.0/mlflow/runs/log-batch"


def signature_front(mlflow_url: str, arn: str = ARN) -> SignatureFront:
    """A front that takes what SageMaker would take for this ARN."""
    kind = APP if "mlflow-app" in arn else TRACKING_SERVER
    check = SignatureCheck(credentials=(CREDENTIALS,), region="eu-central-1", kind=kind, arn=arn)
    return SignatureFront(mlflow_url, check=check)


def bridge_environ(store_url: str, front: SignatureFront) -> dict[str, str]:
    """The settings of a bridge whose lanes come back quickly after a kill."""
    return {
        "BRIDGE_STORE_URL": store_url,
        "BRIDGE_UPSTREAM": ARN,
        "BRIDGE_UPSTREAM_ENDPOINT": front.url,
        "BRIDGE_CONNECT_TIMEOUT": "1s",
        "BRIDGE_READ_TIMEOUT": "5s",
        "BRIDGE_UPSTREAM_RATE": "1000",
        "BRIDGE_ALLOWED_HOSTS": "localhost,bridge.example",
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_SESSION_TOKEN": CREDENTIALS.session_token or "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass
class System:
    """The bridge's processes, and how a test talks to them."""

    url: str
    front: SignatureFront
    #: MLflow itself, past the bridge and the front.
    mlflow_url: str
    store: Server
    store_url: str
    #: The store's, unless a setting says otherwise.
    broker_url: str
    api: Server
    workers: list[Server]
    http: requests.Session = field(default_factory=requests.Session)

    def create_run(self, **fields: Any) -> str:
        body = {"experiment_id": "0", **fields}
        answer = self.http.post(f"{self.url}/api/2.0/mlflow/runs/create", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["run"]["info"]["run_id"])

    def log(self, call: str, body: dict[str, Any], **headers: str) -> requests.Response:
        url = f"{self.url}/api/2.0/mlflow/runs/{call}"
        return self.http.post(url, json=body, headers=headers, timeout=30)

    def job(self, job_id: str, *, wait: int = 30) -> dict[str, Any]:
        """The job, once it is settled."""
        answer = self.http.get(f"{self.url}/v1/jobs/{job_id}", headers={"Prefer": f"wait={wait}"}, timeout=wait + 10)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def drained(self, *, timeout: float = 60.0) -> None:
        """Wait until nothing is pending."""
        wait_until(lambda: self.ready()["store"].get("lanes_pending") == 0, timeout=timeout, every=0.2)

    def ready(self) -> dict[str, Any]:
        report: dict[str, Any] = self.http.get(f"{self.url}/readyz", timeout=30).json()
        return report

    def history(self, run_id: str, key: str) -> list[dict[str, Any]]:
        """Every value of a metric, as MLflow itself has it."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.http.get(
                f"{self.mlflow_url}/api/2.0/mlflow/metrics/get-history",
                params={"run_id": run_id, "metric_key": key, "max_results": "5000", "page_token": token},
                timeout=30,
            ).json()
            found += page.get("metrics", [])
            token = page.get("next_page_token", "")
            if not token:
                return found

    def run(self, run_id: str) -> dict[str, Any]:
        """The run, as MLflow itself has it."""
        url = f"{self.mlflow_url}/api/2.0/mlflow/runs/get"
        run: dict[str, Any] = self.http.get(url, params={"run_id": run_id}, timeout=30).json()["run"]
        return run


@contextmanager
def system(
    mlflow_url: str,
    directory: Path,
    *,
    workers: int = 2,
    settings: Mapping[str, str] | None = None,
    examined: bool = True,
) -> Iterator[System]:
    """Run a bridge with a store of its own, and these settings besides, until the `with` ends.

    ``examined``: only once the api has found out what upstream can do, so that it does not ask while a test looks.
    """
    with ExitStack() as stack:
        front = stack.enter_context(signature_front(mlflow_url, (settings or {}).get("BRIDGE_UPSTREAM", ARN)))
        store, store_url = redis_at(directory)
        environ = bridge_environ(store_url, front) | dict(settings or {})
        api, url = api_with(environ, directory)
        worker_servers = [worker_with(environ, directory, f"worker-{number}") for number in range(workers)]
        stack.enter_context(running(store, *worker_servers, api))
        if examined:
            wait_until(lambda: "upstream_examined" in api.child.log.read_text())
        yield System(
            url=url,
            front=front,
            mlflow_url=mlflow_url,
            store=store,
            store_url=store_url,
            broker_url=environ.get("BRIDGE_BROKER_URL", store_url),
            api=api,
            workers=worker_servers,
        )


def stopwatch() -> "Stopwatch":
    return Stopwatch(time.monotonic())


@dataclass(frozen=True)
class Stopwatch:
    began: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began
