# SPDX-License-Identifier: Apache-2.0
"""Processes whose standard error is a pipe that is not read, or is closed."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from tests.servers import clean_environ, free_port, get_ok, script, wait_until
from tests.system import System

#: Whole lives of processes.
pytestmark = pytest.mark.full


#: More than wait for the log at most, by number (`bridge.telemetry.observers`).
MANY = 11_000


@contextmanager
def started(environ: Mapping[str, str], *command: str, **streams: int) -> "Iterator[subprocess.Popen[bytes]]":
    """A process of the bridge; whatever becomes of it, it is gone afterwards."""
    with subprocess.Popen(command, env={**clean_environ(), **environ}, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def environ_of(system: System, port: int) -> dict[str, str]:
    return {
        "BRIDGE_STORE_URL": system.store_url,
        "BRIDGE_UPSTREAM": system.mlflow_url,
        "BRIDGE_PORT": str(port),
        # With clients that are known each request is logged, those that are refused as well.
        "BRIDGE_AUTH": "keys",
        "BRIDGE_SHUTDOWN_TIMEOUT": "2s",
    }


def ask_many(port: int, count: int, statuses: list[int]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(count):
        connection.request("GET", "/api/2.0/mlflow/runs/get?run_id=x", headers={"Host": "localhost"})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()


def test_a_log_that_is_not_read_holds_up_no_request(shared_system: System) -> None:
    port = free_port()
    environ = environ_of(shared_system, port)
    with started(environ, script("mlflow-bridge-api"), stderr=subprocess.PIPE) as process:
        wait_until(lambda: get_ok(f"http://127.0.0.1:{port}/healthz"), timeout=60)
        statuses: list[int] = []
        askers = [threading.Thread(target=ask_many, args=(port, MANY // 4, statuses)) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

        assert statuses == [401] * MANY
        assert process.stderr
        # A late reader finds all of them.
        seen = 0
        while seen < MANY:
            seen += b'"event":"request_completed"' in process.stderr.readline()
        # The rest needs a reader as well, or the process would wait for one at its end.
        threading.Thread(target=process.stderr.read, daemon=True).start()


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_an_api_without_a_standard_error_serves_and_says_that_there_is_no_log(
    shared_system: System, closed: str
) -> None:
    port = free_port()
    command = f'exec "$0" {closed}'
    with started(
        environ_of(shared_system, port), "sh", "-c", command, script("mlflow-bridge-api"), stdout=subprocess.PIPE
    ) as process:
        wait_until(lambda: get_ok(f"http://127.0.0.1:{port}/healthz"), timeout=60)
        statuses: list[int] = []
        ask_many(port, 10, statuses)
        process.terminate()
        output = process.stdout.read() if process.stdout else b""

    assert statuses == [401] * 10
    assert (b"warning: standard error is closed" in output) == (closed == "2>&-")


def test_a_worker_without_a_standard_error_works_with_the_others(shared_system: System) -> None:
    environ = environ_of(shared_system, free_port())
    with started(
        environ, "sh", "-c", 'exec "$0" 2>&-', script("mlflow-bridge-worker"), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        first = process.stdout.readline()
        before = shared_system.ready()["workers"]

        wait_until(lambda: shared_system.ready()["workers"] != before or process.poll() is not None, timeout=30)

        assert first.startswith(b"mlflow-bridge-worker: warning: standard error is closed")
        assert process.poll() is None
