# SPDX-License-Identifier: Apache-2.0
"""The processes of an api: one that dies is replaced, and none is left behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import Server, api_with, running, wait_until
from tests.system import System, bridge_environ

#: Whole lives of processes.
pytestmark = pytest.mark.full


@pytest.fixture
def api(bridge: System, short_dir: Path) -> Iterator[tuple[Server, str]]:
    """An api of two server processes."""
    environ = bridge_environ(bridge.store_url, bridge.front) | {"BRIDGE_API_PROCESSES": "2"}
    server, url = api_with(environ, short_dir / "processes")
    with running(server):
        wait_until(lambda: len(processes(server.pid)) == 2)
        yield server, url


def processes(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def is_healthy(url: str) -> bool:
    return requests.get(f"{url}/healthz", timeout=30).status_code == 200


def test_a_server_process_that_dies_is_replaced(api: tuple[Server, str]) -> None:
    server, url = api
    before = processes(server.pid)

    os.kill(before[0], signal.SIGKILL)

    wait_until(lambda: len(processes(server.pid)) == 2 and before[0] not in processes(server.pid))
    assert before[1] in processes(server.pid)
    # Both have a socket of their own: sixteen connections reach both.
    assert all(is_healthy(url) for _ in range(16))


def test_server_processes_end_with_their_parent(api: tuple[Server, str]) -> None:
    server, _ = api
    left = processes(server.pid)

    os.kill(server.pid, signal.SIGKILL)

    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


def test_a_signal_to_the_whole_group_is_a_stop_like_any_other(bridge: System, short_dir: Path) -> None:
    environ = bridge_environ(bridge.store_url, bridge.front) | {"BRIDGE_SHUTDOWN_DELAY": "2s"}
    server, url = api_with(environ, short_dir / "group")
    with running(server):
        os.killpg(server.pid, signal.SIGTERM)

        wait_until(lambda: requests.post(f"{url}/v1/writes", data=b"{}", timeout=30).status_code == 503)
        assert server.child.process is not None
        assert server.child.process.wait(30) == 0


def test_an_api_that_can_serve_no_more_ends_and_says_so(api: tuple[Server, str]) -> None:
    server, _ = api
    before = set(processes(server.pid))

    os.kill(min(before), signal.SIGKILL)
    [replacement] = wait_until(lambda: set(processes(server.pid)) - before)
    os.kill(replacement, signal.SIGKILL)

    assert server.child.process is not None
    assert server.child.process.wait(30) == 1
    assert "ends again and again" in "\n".join(server.child.last_lines(20).splitlines())
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)
