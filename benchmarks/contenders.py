# SPDX-License-Identifier: Apache-2.0
"""The contenders, all on loopback: MLflow itself, a naive signing proxy, and the bridge."""

import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.table import Setting
from tests.servers import (
    START_TIMEOUT,
    Server,
    api_with,
    clean_environ,
    free_port,
    get_ok,
    mlflow_at,
    process,
    redis_at,
    running,
    wait_until,
    worker_with,
)

_AWS = {
    "AWS_ACCESS_KEY_ID": "AKIABENCH",
    "AWS_SECRET_ACCESS_KEY": "a-secret-for-the-bench",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_ROOT = Path(__file__).parents[1]
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A bridge of real processes."""

    url: str
    store_url: str
    api: Server
    workers: list[Server]


@contextmanager
def mlflow(setting: Setting, name: str, *, workers: int = 1) -> Iterator[str]:
    """Run an MLflow server, unless one is shared, and yield its URL. MLflow's own default is four workers."""
    if setting.shared_mlflow:
        yield setting.shared_mlflow()
        return
    server, url = mlflow_at(setting.place(name) / "mlflow", workers=workers)
    with running(server):
        yield url


def shared_mlflow(servers: ExitStack) -> Callable[[], str]:
    """Return a function that returns the URL of one MLflow server. The first call starts it; the stack ends it."""

    @functools.cache
    def url() -> str:
        directory = servers.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        server, address = mlflow_at(Path(directory) / "mlflow")
        servers.enter_context(running(server))
        return address

    return url


@contextmanager
def naive(upstream: str, directory: Path, *, threads: int = 8) -> Iterator[str]:
    """Run the naive proxy."""
    environ = {"BENCH_UPSTREAM": upstream, **_AWS}
    with wsgi("benchmarks.naive_proxy:app", directory, environ, threads=threads) as url:
        yield url


@contextmanager
def bridge(
    upstream: str, directory: Path, *, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[Bridge]:
    """Run a bridge that signs, with a store of its own that syncs each write to disk."""
    store, store_url = redis_at(directory / "store")
    environ = {
        "BRIDGE_STORE_URL": store_url,
        "BRIDGE_UPSTREAM": ARN,
        "BRIDGE_UPSTREAM_ENDPOINT": upstream,
        "BRIDGE_UPSTREAM_RATE": "0",
        # No delay at shutdown: no load balancer needs to notice it.
        "BRIDGE_SHUTDOWN_DELAY": "1ms",
        **_AWS,
        **(settings or {}),
    }
    api, url = api_with(environ, directory)
    delivering = [worker_with(environ, directory, f"worker-{number}") for number in range(workers)]
    with running(store), _running_in_parallel(*delivering, api):
        yield Bridge(url=url, store_url=store_url, api=api, workers=delivering)


class _StartedServer(Server):
    """A server with a running process: ``start`` only waits until it is ready."""

    def start(self) -> None:
        wait_until(self._serves, timeout=START_TIMEOUT)


@contextmanager
def _running_in_parallel(*servers: Server) -> Iterator[None]:
    """Run servers that start in parallel."""
    for server in servers:
        server.child.start()
    with running(*(_StartedServer(server.child) for server in servers)):
        yield


@contextmanager
def wsgi(application: str, directory: Path, environ: Mapping[str, str], *, threads: int = 16) -> Iterator[str]:
    """Run a WSGI application in granian, one of the quickest WSGI servers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "granian", application, "--interface", "wsgi", "--http", "1", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(port), "--blocking-threads", str(threads), "--backpressure", "1000"),
        *("--working-dir", str(_ROOT)),
    ]
    name = application.partition(":")[0].rpartition(".")[2]
    process_environ = clean_environ() | {"PYTHONPATH": str(_ROOT)} | dict(environ)
    server = Server(process(name, command, process_environ, directory, lambda: get_ok(f"{url}/health")))
    with running(server):
        yield url


@contextmanager
def void(directory: Path, *, delay: float = 0.0, refuses: bool = False) -> Iterator[str]:
    """Run an upstream that accepts or refuses everything after a delay in seconds, and stores nothing."""
    environ = {"BENCH_DELAY": str(delay), "BENCH_REFUSES": "1" if refuses else ""}
    with wsgi("benchmarks.void:app", directory / "void", environ) as url:
        yield url


def create_runs(url: str, count: int) -> list[str]:
    """Create runs on an MLflow server."""
    with requests.Session() as http:
        answers = [
            http.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=30)
            for _ in range(count)
        ]
    return [str(answer.json()["run"]["info"]["run_id"]) for answer in answers]


def stored(url: str, run_id: str, key: str = "m") -> int:
    """Return the number of values of a metric in MLflow."""
    count, token = 0, ""
    with requests.Session() as http:
        while True:
            parameters = {"run_id": run_id, "metric_key": key, "max_results": "25000", "page_token": token}
            page = http.get(f"{url}/api/2.0/mlflow/metrics/get-history", params=parameters, timeout=60).json()
            count += len(page.get("metrics", []))
            token = page.get("next_page_token", "")
            if not token:
                return count
