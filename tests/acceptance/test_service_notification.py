# SPDX-License-Identifier: Apache-2.0
"""The service manager learns from a real socket when each process serves, and when it begins to stop."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.servers import Server, api_with, free_port, running, wait_until, worker_with

#: Whole lives of processes.
pytestmark = pytest.mark.full


#: How long a start or a stop may take.
_TIMEOUT_S = 30.0


@contextmanager
def _manager(address: str) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        datagrams.settimeout(_TIMEOUT_S)
        yield datagrams


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_api_is_ready_once_it_listens_and_says_that_it_stops(
    kind: str, redis_server: tuple[Server, str], short_dir: Path
) -> None:
    address = str(short_dir / "notify-api") if kind == "path" else f"@mlflow-bridge-tests-{free_port()}"
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": "http://127.0.0.1:9", "NOTIFY_SOCKET": address}
    api, url = api_with(environ | {"BRIDGE_SHUTDOWN_DELAY": "1ms"}, short_dir / f"notified-{kind}")
    with _manager(address) as manager:
        api.child.start()
        try:
            assert manager.recv(100) == b"READY=1"
            assert requests.get(f"{url}/healthz", timeout=30).status_code == 200, "it listens already"
        finally:
            status = api.stop()

        assert (status, manager.recv(100)) == (0, b"STOPPING=1")


def test_the_worker_is_ready_once_it_is_connected_and_says_that_it_stops(
    redis_server: tuple[Server, str], short_dir: Path
) -> None:
    address = str(short_dir / "notify-worker")
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": "http://127.0.0.1:9", "NOTIFY_SOCKET": address}
    worker = worker_with(environ, short_dir / "notified-worker", "worker")
    with _manager(address) as manager:
        worker.child.start()
        try:
            assert manager.recv(100) == b"READY=1"
        finally:
            status = worker.stop()

        assert (status, manager.recv(100)) == (0, b"STOPPING=1")


def test_a_service_manager_that_is_gone_ends_no_process(redis_server: tuple[Server, str], short_dir: Path) -> None:
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": "http://127.0.0.1:9"}
    api, url = api_with(environ | {"NOTIFY_SOCKET": str(short_dir / "gone")}, short_dir / "not-notified")
    with running(api):
        assert requests.get(f"{url}/healthz", timeout=30).status_code == 200
        # The log is written a moment later.
        wait_until(lambda: "service_not_notified" in api.child.last_lines(100))
