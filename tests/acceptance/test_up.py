# SPDX-License-Identifier: Apache-2.0
"""``make run`` is ``mlflow-bridge up``: the whole system from one command."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests

from bridge.errors import EX_CONFIG
from tests.acceptance.test_curl import run_try_it
from tests.servers import clean_environ, free_port, script, wait_until

#: Whole lives of processes.
pytestmark = pytest.mark.full


CHILDREN = {"store": "(valkey|redis)-server", "worker-[12]": "mlflow-bridge-worker", "api": "mlflow-bridge-api"}
METRIC = {"key": "m", "value": 1, "timestamp": 1}


class Up:
    """A running `mlflow-bridge up`."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self.output = output

    @property
    def text(self) -> str:
        return self.output.read_text()

    def url(self) -> str:
        found = wait_until(
            lambda: re.search(r"serves (http://\S+)", self.text) or self.process.poll() is not None, timeout=120
        )
        assert isinstance(found, re.Match), self.text
        return str(found[1])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        assert self.process.wait(60) == 0, self.text


@contextmanager
def up(data_dir: Path, **environ: str) -> Iterator[Up]:
    output = data_dir.with_suffix(".out")
    settings = {"BRIDGE_PORT": "0", "BRIDGE_DATA_DIR": str(data_dir)} | environ
    with output.open("wb") as out:
        process = subprocess.Popen(
            [script("mlflow-bridge"), "up"],
            env=clean_environ() | settings,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Up(process, output)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def processes_of(data_dir: Path) -> dict[int, str]:
    """The processes whose command, environment or directory names this system's data, with their commands."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            told = command + (process / "environ").read_text(errors="replace") + str((process / "cwd").readlink())
        except OSError:
            continue
        if str(data_dir) in told and int(process.name) != os.getpid():
            found[int(process.name)] = command
    return found


def pid_of(data_dir: Path, pattern: str) -> int:
    """The first started process of this system whose command matches."""
    return min(pid for pid, command in processes_of(data_dir).items() if re.search(pattern, command))


def said(running: Up, pattern: str) -> bool:
    return bool(re.search(pattern, running.text))


def create_run(url: str) -> str:
    answer = requests.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=30)
    return str(answer.json()["run"]["info"]["run_id"])


def log_metric(url: str, run_id: str, step: int) -> requests.Response:
    body: dict[str, Any] = METRIC | {"run_id": run_id, "step": step}
    return requests.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=30)


def steps(url: str, run_id: str) -> set[int]:
    query = {"run_id": run_id, "metric_key": "m"}
    answer = requests.get(f"{url}/api/2.0/mlflow/metrics/get-history", params=query, timeout=30)
    return {point["step"] for point in answer.json().get("metrics", [])}


def test_it_serves_survives_the_death_of_each_child_and_leaves_no_orphan(short_dir: Path) -> None:
    # A name that a URL would spell differently, and a proxy that is not meant for our own children.
    data_dir = short_dir / "up 100%41"
    with up(data_dir, http_proxy="http://127.0.0.1:9") as first:
        url = first.url()
        run_try_it(url)
        ready = requests.get(f"{url}/readyz", timeout=30).json()
        assert (ready["status"], ready["store"]["durability"]) == ("ready", "fsync-always")
        run_id = create_run(url)
        second = run_to_its_end(data_dir)
        assert (second.returncode, second.stdout) == (1, "")
        assert f"{data_dir} is in use by another MLflow Bridge (process {first.process.pid})" in second.stderr

        for name, command in CHILDREN.items():
            os.kill(pid_of(data_dir, command), signal.SIGKILL)
            wait_until(partial(said, first, f"{name} was killed by SIGKILL; restarting it"))
            wait_until(lambda: is_ready(url), timeout=60)

        assert log_metric(url, run_id, 1).status_code == 200
        wait_until(lambda: steps(url, run_id) == {1})
        first.stop(signal.SIGINT)

    assert "stopped" in first.text
    assert processes_of(data_dir) == {}


def test_a_second_start_delivers_the_backlog_of_the_first(short_dir: Path, mlflow_url: str) -> None:
    data_dir = short_dir / "again"
    run_id = create_run(mlflow_url)
    nowhere = f"http://127.0.0.1:{free_port()}"

    with up(data_dir, BRIDGE_UPSTREAM=nowhere) as first:
        url = first.url()
        accepted = log_metric(url, run_id, 7)
        first.stop()
        assert f"Upstream {nowhere} does not answer" in first.text
    with up(data_dir, BRIDGE_UPSTREAM=mlflow_url) as second:
        url = second.url()
        wait_until(lambda: steps(url, run_id) == {7}, timeout=60)
        job = requests.get(f"{url}/v1/jobs/{accepted.headers['Job-Id']}", timeout=30).json()
        second.stop()

    assert accepted.status_code == 200
    assert job["status"] == "delivered"


def test_a_taken_port_is_said_in_one_sentence(short_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_to_its_end(short_dir / "port", BRIDGE_PORT=port)

    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert f"127.0.0.1:{port} can't be listened on" in done.stderr
    assert "set BRIDGE_PORT" in done.stderr


def test_a_wrong_setting_is_named(short_dir: Path) -> None:
    done = run_to_its_end(short_dir / "wrong", BRIDGE_UPSTREM="http://x")

    assert done.returncode == EX_CONFIG
    assert "BRIDGE_UPSTREM: there is no such setting" in done.stderr


def test_a_child_whose_settings_can_not_work_is_not_restarted_and_ends_the_system(short_dir: Path) -> None:
    data_dir, bundle = short_dir / "unworkable", short_dir / "bundle.pem"
    bundle.write_text(Path(certifi.where()).read_text())
    with up(data_dir, BRIDGE_UPSTREAM=f"http://127.0.0.1:{free_port()}", BRIDGE_CA_BUNDLE=str(bundle)) as running:
        running.url()
        bundle.unlink()
        os.kill(pid_of(data_dir, CHILDREN["worker-[12]"]), signal.SIGKILL)
        status = running.process.wait(60)

    assert status == EX_CONFIG
    assert "ended with status" not in running.text, "it is started once more after the kill, and not again"
    assert len(re.findall(r"mlflow-bridge: worker-\d can't work with its settings", running.text)) == 1
    assert f"BRIDGE_CA_BUNDLE={bundle} can't be used (No such file or directory)" in running.text
    assert processes_of(data_dir) == {}


def run_to_its_end(data_dir: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    settings = {"BRIDGE_PORT": "0", "BRIDGE_DATA_DIR": str(data_dir)} | environ
    return subprocess.run(
        [script("mlflow-bridge"), "up"],
        env=clean_environ() | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def is_ready(url: str) -> bool:
    try:
        return bool(requests.get(f"{url}/readyz", timeout=5).json()["status"] == "ready")
    except requests.RequestException:
        return False
