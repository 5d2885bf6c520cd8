# SPDX-License-Identifier: Apache-2.0
"""Real servers for tests: Redis, MLflow and the bridge's own processes, on free ports and gone afterwards."""

import contextlib
import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis
import requests

from bridge.cli.local.servers import MLFLOW_ENVIRON, bundled_server, mlflow_command, store_command
from bridge.cli.local.supervisor import Child
from bridge.config.network import CA_BUNDLE, NO_PROXY, PROXY
from bridge.config.parsers import duration
from bridge.errors import StoreUnavailable
from bridge.redis_store.client import store_errors
from bridge.redis_store.outbox import connect

START_TIMEOUT = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], Any], *, timeout: float = 30.0, every: float = 0.05) -> Any:
    """Return the first true result, or fail after the timeout."""
    end = time.monotonic() + timeout
    while True:
        if result := true():
            return result
        assert time.monotonic() < end, f"still not so after {timeout} s: {true}"
        time.sleep(every)


def get_ok(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        # The certificates of tests sign themselves.
        return requests.get(url, timeout=2, verify=False).status_code == 200  # noqa: S501
    return False


#: What the bridge takes from the environment of outgoing connections.
_OF_NETWORK = {*CA_BUNDLE, *PROXY["https"], *PROXY["http"], *NO_PROXY}


def clean_environ() -> dict[str, str]:
    """The environment without what would change how the bridge, MLflow or AWS's libraries behave."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BRIDGE_", "MLFLOW_", "AWS_", "COV_", "PYTEST")) and name not in _OF_NETWORK
    }
    # MLflow's telemetry has no network here, and its thread changes os.environ while calls read it: they then fail.
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


class Server:
    """One process that a test may also kill, freeze and start again."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def start(self) -> None:
        self.child.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_until(self._serves, timeout=START_TIMEOUT)

    def _serves(self) -> bool:
        status = self.child.exit_status
        assert status is None, f"{self.child.name} ended with {status}:\n{self.child.last_lines(40)}"
        return self.child.is_ready()

    @property
    def pid(self) -> int:
        assert self.child.process
        return self.child.process.pid

    def kill(self) -> None:
        """kill -9, with everything it has started."""
        self.child.signal_group(signal.SIGKILL)
        assert self.child.process
        self.child.process.wait()

    def stop(self, *, grace: float = 40.0) -> int:
        """SIGTERM, and the exit status."""
        assert self.child.process
        self.child.process.terminate()
        status = self.child.process.wait(grace)
        self.child.signal_group(signal.SIGKILL)
        return status

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for as long as the `with` lasts."""
        self.child.signal_group(signal.SIGSTOP)
        try:
            yield
        finally:
            self.child.signal_group(signal.SIGCONT)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Have the servers run; whatever the test did to them, none is left.

    The first is the one that the others need; these start together.
    """
    try:
        for server in servers[:1]:
            server.start()
        for server in servers[1:]:
            server.child.start()
        for server in servers[1:]:
            server.wait_ready()
        yield
    finally:
        for server in reversed(servers):
            server.child.signal_group(signal.SIGCONT)
            server.child.signal_group(signal.SIGTERM)
        for server in reversed(servers):
            _end(server.child)


def _end(child: Child) -> None:
    """Wait until a child that was told to stop has done so, and reap one that has not."""
    if child.process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(20)
    child.signal_group(signal.SIGKILL)
    if child.process:
        child.process.wait()


def redis_at(directory: Path, *, program: Path | None = None) -> tuple[Server, str]:
    """Return a store, durable as the embedded one, and its URL: the Valkey of the lock, or another program."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "s.sock"
    url = f"unix://{path}"
    client = connect(url, timeout=duration("1s"), connections=2)

    def pings() -> bool:
        with contextlib.suppress(StoreUnavailable), store_errors():
            return bool(client.ping())
        return False

    command = store_command(directory, path, server=program or bundled_server())
    return Server(process("store", command, clean_environ(), directory, pings)), url


@contextmanager
def redis_cluster_at(directory: Path, masters: int = 3) -> Iterator[str]:
    """Run a Redis in cluster mode and yield the bridge's URL of it."""
    with redis_cluster_nodes_at(directory, masters) as (url, _):
        yield url


@contextmanager
def redis_cluster_nodes_at(directory: Path, masters: int = 3) -> Iterator[tuple[str, dict[int, Server]]]:
    """The same, with its masters by their ports, which a test may kill and start again."""
    ports = _cluster_ports(masters)
    servers = {port: _cluster_node(directory / str(port), port) for port in ports}
    with running(*servers.values()):
        nodes: list[Any] = [redis.Redis(port=port) for port in ports]
        for number, node in enumerate(nodes):
            node.execute_command("CLUSTER ADDSLOTS", *range(16384)[number::masters])
            for port in ports:
                node.execute_command("CLUSTER MEET", "127.0.0.1", port)
        wait_until(lambda: all(node.cluster("info")["cluster_state"] == "ok" for node in nodes))
        wait_until(lambda: all(node.cluster("info")["cluster_known_nodes"] == str(masters) for node in nodes))
        for node in nodes:
            node.close()
        yield f"redis+cluster://127.0.0.1:{ports[0]}", servers


@contextmanager
def replica_of(port: int, directory: Path) -> Iterator[tuple[int, Server]]:
    """Run a replica of a cluster's master, and yield its port once it has all of the master's data."""
    [own] = _cluster_ports(1)
    server = _cluster_node(directory / str(own), own)
    with running(server), redis.Redis(port=port) as master, redis.Redis(port=own) as replica:
        node: Any = replica
        node.execute_command("CLUSTER MEET", "127.0.0.1", port)
        master_id = cast("bytes", master.execute_command("CLUSTER MYID")).decode()
        known = int(cast("Any", master).cluster("info")["cluster_known_nodes"])
        wait_until(lambda: int(node.cluster("info")["cluster_known_nodes"]) >= known)

        def replicates() -> bool:
            with contextlib.suppress(redis.ResponseError):
                return bool(node.execute_command("CLUSTER REPLICATE", master_id))
            return False

        wait_until(replicates)
        wait_until(lambda: node.info("replication")["master_link_status"] == "up")
        yield own, server


def _cluster_ports(count: int) -> list[int]:
    """Return ports that are free together with those 10000 above, on which the nodes of a cluster speak."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        with socket.socket() as bus, contextlib.suppress(OSError, OverflowError):
            bus.bind(("127.0.0.1", port + 10_000))
            found.append(port)
    return found


def _cluster_node(directory: Path, port: int) -> Server:
    command = store_command(directory, directory / "s.sock", server=bundled_server())
    config = directory / "redis.conf"
    config.write_text(config.read_text().replace("port 0\n", f"port {port}\nbind 127.0.0.1\ncluster-enabled yes\n"))

    def pings() -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
        return False

    return Server(process("node", command, clean_environ(), directory, pings))


def mlflow_at(directory: Path, *, workers: int = 1, further: Mapping[str, str] | None = None) -> tuple[Server, str]:
    """Return a real MLflow server, with these variables further, and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = clean_environ() | dict(MLFLOW_ENVIRON) | dict(further or {})
    command = [each.replace("--workers=1", f"--workers={workers}") for each in mlflow_command(directory, port)]
    child = process("mlflow", command, environ, directory, lambda: get_ok(f"{url}/health"))
    child.directory = directory
    return Server(child), url


def api_with(environ: Mapping[str, str], directory: Path, *, tls: bool = False) -> tuple[Server, str]:
    """Return an api process with these settings and its URL. A port of the settings must be free."""
    port = int(environ.get("BRIDGE_PORT") or free_port())
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    environ = clean_environ() | dict(environ) | {"BRIDGE_PORT": str(port)}
    command = [script("mlflow-bridge-api")]
    return Server(process("api", command, environ, directory, lambda: get_ok(f"{url}/healthz"))), url


def worker_with(environ: Mapping[str, str], directory: Path, name: str) -> Server:
    """Return a worker process with these settings; it serves once it has said so."""

    def says_so() -> bool:
        # The log also holds what an earlier process of this worker has said.
        process = f'"process":{child.process.pid}' if child.process else "none"
        return any(" ready." in line and process in line for line in child.last_lines(200).splitlines())

    command = [script("mlflow-bridge-worker")]
    child = process(name, command, clean_environ() | dict(environ), directory, says_so)
    return Server(child)


def script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


def process(
    name: str, command: list[str], environ: Mapping[str, str], directory: Path, is_ready: Callable[[], bool]
) -> Child:
    directory.mkdir(parents=True, exist_ok=True)
    return Child(name=name, command=command, environ=environ, log=directory / f"{name}.log", is_ready=is_ready)
