# SPDX-License-Identifier: Apache-2.0
"""The units, run by a systemd: they start, serve, stop cleanly, and hand over without a refused connection."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import STORE_URL, Host
from machine import MOUNTED_UNITS, Machine

API = "mlflow-bridge-api@a.service"
OTHER_API = "mlflow-bridge-api@b.service"
WORKERS = ("mlflow-bridge-worker@1.service", "mlflow-bridge-worker@2.service")
#: What a client gets if no process listens.
REFUSED = "refused"
_CALL_TIMEOUT_S = 30
#: Writes between two steps of a test, so that each step is seen by clients.
_WRITES_PER_STEP = 20


def _write(port: int, key: str = "loss") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CALL_TIMEOUT_S)
    try:
        body = json.dumps({"run_id": "a" * 32, "key": key, "value": 1.0, "timestamp": 1, "step": 0})
        connection.request("POST", "/api/2.0/mlflow/runs/log-metric", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CALL_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@dataclass
class Writers:
    """Clients that write without pause, each write on a new connection."""

    port: int
    #: A status, or the error of the connection, in the order of arrival.
    outcomes: list[int | str] = field(default_factory=list)
    retry_after: set[str | None] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def write_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                response = _write(self.port)
            except ConnectionRefusedError:
                outcome: int | str = REFUSED
            except (OSError, http.client.HTTPException) as error:
                outcome = repr(error)
            else:
                outcome = response.status
                if outcome == 503:
                    self.retry_after.add(response.headers["Retry-After"])
            with self._changed:
                self.outcomes.append(outcome)
                self._changed.notify_all()

    def wait_for_more(self, number: int = _WRITES_PER_STEP) -> None:
        """Wait until that many further writes have an outcome."""
        with self._changed:
            goal = len(self.outcomes) + number
            assert self._changed.wait_for(lambda: len(self.outcomes) >= goal, timeout=_CALL_TIMEOUT_S)

    def stop(self) -> None:
        self._stopping.set()


@contextmanager
def _writers(port: int, number: int) -> Iterator[Writers]:
    writers = Writers(port)
    threads = [threading.Thread(target=writers.write_until_stopped) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        writers.stop()
        for thread in threads:
            thread.join()


def _start_all(machine: Machine) -> None:
    machine.run("systemctl", "start", API, *WORKERS)


def _result(machine: Machine, unit: str) -> tuple[str, ...]:
    shown = machine.properties(unit, "ActiveState", "Result", "ExecMainStatus", "NRestarts")
    return shown["ActiveState"], shown["Result"], shown["ExecMainStatus"], shown["NRestarts"]


def test_the_units_accept_and_deliver(host: Host) -> None:
    _start_all(host.machine)

    # `systemctl start` has returned: the api listens.
    assert _write(host.port, "accuracy").status == 200
    assert b"accuracy" in host.upstream.received.get(timeout=_CALL_TIMEOUT_S)
    assert _get(host.port, "/readyz") == 200
    for unit in (API, *WORKERS):
        assert host.machine.properties(unit, "User", "ActiveState") == {
            "User": "mlflow-bridge",
            "ActiveState": "active",
        }


def test_the_target_starts_and_stops_what_is_enabled(host: Host) -> None:
    units = ["mlflow-bridge-store.service", API, *WORKERS]
    host.machine.run("systemctl", "enable", *units)

    host.machine.run("systemctl", "start", "mlflow-bridge.target")
    # The target does not wait for its units. These jobs are merged with its own.
    host.machine.run("systemctl", "start", *units)
    assert _write(host.port).status == 200

    host.machine.run("systemctl", "stop", "mlflow-bridge.target")
    host.machine.run("systemctl", "stop", *units)
    host.machine.run("systemctl", "disable", *units)
    assert {_result(host.machine, unit) for unit in units} == {("inactive", "success", "0", "0")}


def test_a_stop_refuses_writes_with_503_before_it_is_gone(host: Host) -> None:
    host.configure(BRIDGE_SHUTDOWN_DELAY="2s")
    host.machine.run("systemctl", "start", API)

    with _writers(host.port, 1) as writers:
        writers.wait_for_more()
        host.machine.run("systemctl", "stop", API)
        writers.wait_for_more()

    outcomes = list(dict.fromkeys(writers.outcomes))
    # At most the connection that was open in the last moment is broken.
    broken = [outcome for outcome in outcomes if outcome not in (200, 503, REFUSED)]
    assert len(broken) <= 1, broken
    assert [outcome for outcome in outcomes if outcome not in broken] == [200, 503, REFUSED]
    assert None not in writers.retry_after
    assert _result(host.machine, API) == ("inactive", "success", "0", "0")


def test_a_stop_of_a_worker_completes_its_call(host: Host) -> None:
    host.upstream.answering.clear()
    _start_all(host.machine)
    assert _write(host.port).status == 200
    host.upstream.received.get(timeout=_CALL_TIMEOUT_S)

    stop = host.machine.start("systemctl", "stop", *WORKERS)
    while "deactivating" not in {host.machine.properties(unit, "ActiveState")["ActiveState"] for unit in WORKERS}:
        assert stop.poll() is None, "the workers stopped before their call had an answer"
    host.upstream.answering.set()
    stop.communicate(timeout=_CALL_TIMEOUT_S)

    assert {_result(host.machine, worker) for worker in WORKERS} == {("inactive", "success", "0", "0")}
    host.machine.run("systemctl", "start", *WORKERS)
    assert _write(host.port, "next").status == 200
    # The next call is the next write: the first one was not repeated.
    assert b"next" in host.upstream.received.get(timeout=_CALL_TIMEOUT_S)


def test_a_hand_over_refuses_no_connection(host: Host) -> None:
    host.machine.run("systemctl", "enable", API)
    _start_all(host.machine)

    with _writers(host.port, 2) as writers:
        writers.wait_for_more()
        for _ in range(2):
            host.machine.run(MOUNTED_UNITS / "hand-over.sh", f"http://127.0.0.1:{host.port}")
            writers.wait_for_more()

    assert set(writers.outcomes) <= {200, 503}, Counter(writers.outcomes)
    assert Counter(writers.outcomes)[200] > 4 * _WRITES_PER_STEP
    # Twice: a to b, b to a.
    assert _result(host.machine, API)[0] == "active"
    assert _result(host.machine, OTHER_API) == ("inactive", "success", "0", "0")
    assert host.machine.attempt("systemctl", "is-enabled", API, OTHER_API)[1].split() == ["enabled", "disabled"]
    host.machine.run("systemctl", "disable", API)


def test_a_hand_over_to_an_api_that_fails_leaves_the_old_one(host: Host) -> None:
    _start_all(host.machine)
    host.configure(BRIDGE_SHUTDOWN_TIMEOUT="soon")

    status, output = host.machine.attempt(MOUNTED_UNITS / "hand-over.sh", f"http://127.0.0.1:{host.port}")

    assert status == 1
    assert f"{OTHER_API} did not become healthy, so {API} still serves" in output
    assert _write(host.port).status == 200


def test_an_invalid_setting_stops_a_unit_once(host: Host) -> None:
    host.configure(BRIDGE_MAX_WRITE_AGE="for ever")

    for unit in (API, WORKERS[0]):
        status, _ = host.machine.attempt("systemctl", "start", unit)

        assert status == 1
        assert _result(host.machine, unit) == ("failed", "exit-code", "78", "0")


@pytest.mark.parametrize("unit", [API, WORKERS[0]])
def test_a_process_that_dies_is_started_again(host: Host, unit: str) -> None:
    host.machine.run("systemctl", "start", unit)

    host.machine.run("systemctl", "kill", "--signal=KILL", unit)
    # A start of a unit that will be restarted is done once it is ready.
    host.machine.run("systemctl", "start", unit)

    assert host.machine.properties(unit, "ActiveState") == {"ActiveState": "active"}


def test_a_credential_is_read_from_a_file_of_root(host: Host) -> None:
    host.configure(BRIDGE_STORE_URL="")
    host.machine.write("/etc/mlflow-bridge/secrets/store-url", STORE_URL)
    host.machine.run("chmod", "0400", "/etc/mlflow-bridge/secrets/store-url")
    host.machine.write(f"/etc/systemd/system/{API.replace('@a', '@')}.d/secrets.conf", _store_credential())
    host.machine.run("systemctl", "daemon-reload")

    host.machine.run("systemctl", "start", API)

    assert _write(host.port).status == 200
    pid = host.machine.properties(API, "MainPID")["MainPID"]
    assert STORE_URL not in host.machine.run("cat", f"/proc/{pid}/environ")


def _store_credential() -> str:
    """Return the part of the example that passes the store's URL, uncommented."""
    lines = (Path(__file__).parents[1] / "secrets.conf.example").read_text().splitlines()
    wanted = ("[Service]", "#LoadCredential=BRIDGE_STORE_URL:")
    return "\n".join(line.removeprefix("#") for line in lines if line.startswith(wanted)) + "\n"


def test_the_installation_is_repeatable(host: Host) -> None:
    before = host.machine.run("find", "/opt/mlflow-bridge/releases", "-maxdepth", "1", "-printf", "%p %T@\n")
    settings = host.machine.run("cat", "/etc/mlflow-bridge/bridge.env")

    host.machine.run(MOUNTED_UNITS / "install.sh")

    assert host.machine.run("find", "/opt/mlflow-bridge/releases", "-maxdepth", "1", "-printf", "%p %T@\n") == before
    assert host.machine.run("cat", "/etc/mlflow-bridge/bridge.env") == settings
    assert host.machine.run("stat", "-c", "%a %U", "/etc/mlflow-bridge/secrets") == "700 root"


def test_the_installed_settings_are_the_example_without_secrets(host: Host) -> None:
    host.machine.run("rm", "/etc/mlflow-bridge/bridge.env")

    host.machine.run(MOUNTED_UNITS / "install.sh")

    assert host.machine.run("stat", "-c", "%a %U", "/etc/mlflow-bridge/bridge.env") == "640 root"
    assert host.machine.run("cmp", "/etc/mlflow-bridge/bridge.env", str(MOUNTED_UNITS / "bridge.env.example")) == ""
