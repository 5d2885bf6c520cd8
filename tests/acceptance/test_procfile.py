# SPDX-License-Identifier: Apache-2.0
"""The Procfile, with a Procfile runner that is told where the store is."""

import subprocess
from pathlib import Path

import pytest
import requests

from tests.acceptance.test_curl import run_try_it
from tests.servers import Server, clean_environ, free_port, get_ok, script, wait_until

#: Whole lives of processes.
pytestmark = pytest.mark.full


PROCFILE = Path(__file__).parents[2] / "Procfile"


def test_it_starts_a_bridge_that_delivers(redis_server: tuple[Server, str], mlflow_url: str, short_dir: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    environ = clean_environ() | {
        "PATH": f"{Path(script('honcho')).parent}:{clean_environ()['PATH']}",
        "BRIDGE_STORE_URL": redis_server[1],
        "BRIDGE_UPSTREAM": mlflow_url,
        "BRIDGE_PORT": str(port),
    }
    with (short_dir / "honcho.log").open("wb") as log:
        runner = subprocess.Popen(
            [script("honcho"), "--procfile", str(PROCFILE), "start"],
            env=environ,
            cwd=short_dir,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: get_ok(f"{url}/healthz"), timeout=60)
        wait_until(lambda: requests.get(f"{url}/readyz", timeout=5).json()["status"] == "ready", timeout=60)

        run_try_it(url)
    finally:
        runner.terminate()
        runner.wait(60)


@pytest.mark.parametrize("command", ["mlflow-bridge-api", "mlflow-bridge-worker"])
def test_the_commands_that_it_names_explain_themselves_without_a_setting(command: str) -> None:
    explained = subprocess.run(
        [script(command), "--help"], env=clean_environ(), capture_output=True, text=True, timeout=60, check=True
    )
    mistaken = subprocess.run(
        [script(command), "--port", "80"], env=clean_environ(), capture_output=True, text=True, timeout=60, check=False
    )

    assert "`mlflow-bridge settings`" in " ".join(explained.stdout.split())
    assert (mistaken.returncode, "No such option" in mistaken.stderr) == (2, True)
