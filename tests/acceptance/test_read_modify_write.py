# SPDX-License-Identifier: Apache-2.0
"""MLflow's client reads tags, extends them and writes them back; through a bridge that is behind it loses nothing."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.servers import clean_environ
from tests.system import System, system
from tests.upstream_faults import Answer, Delay

LOGGING = """
import json, sys
import mlflow
from PIL import Image

client = mlflow.MlflowClient()
run_id = client.create_run("0").info.run_id
print(run_id, flush=True)
for number in range(5):
    client.log_table(run_id, {"a": [number]}, f"table-{number}.json")
    for step in range(4):
        client.log_image(run_id, Image.new("RGB", (2, 2)), key="image", step=4 * number + step)
client.set_terminated(run_id)
"""
STOPPED = Answer(503, {"Content-Type": "text/html"}, b"<html>Service Unavailable</html>")


@pytest.fixture(scope="module")
def behind(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    """A bridge whose reads wait only for a moment."""
    with system(mlflow_url, short_dir / "behind", settings={"BRIDGE_READ_YOUR_WRITES_TIMEOUT": "100ms"}) as found:
        yield found


def is_write(method: str, path: str) -> bool:
    return method == "POST" and "/runs/" in path and not path.endswith(("/create", "/search"))


class Outage:
    """Begins with the third read, and lasts for so many seconds."""

    def __init__(self, lasts: float) -> None:
        self._lasts = lasts
        self._reads = 0
        self._ends_at: float | None = None

    def covers(self, method: str, path: str) -> bool:
        self._reads += is_read(method, path)
        if self._reads == 3 and self._ends_at is None:
            self._ends_at = time.monotonic() + self._lasts
        return self._ends_at is not None and time.monotonic() < self._ends_at


def is_read(_method: str, path: str) -> bool:
    return path.endswith("/runs/get")


def logged(url: str) -> str:
    """Log tables and images with MLflow's client, and return the run's id."""
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}
    done = forked.run("-c", LOGGING, environ=environ, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def artifacts(run: dict[str, Any]) -> list[dict[str, str]]:
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    found: list[dict[str, str]] = json.loads(tags["mlflow.loggedArtifacts"])
    return found


@pytest.mark.full
def test_tables_and_images_are_all_there_although_upstream_is_slow_and_then_stops(
    behind: System, request: pytest.FixtureRequest
) -> None:
    """With --long upstream needs ten seconds for a write, and is away for a minute."""
    is_long = bool(request.config.getoption("--long"))
    delay, away = (10.0, 60.0) if is_long else (1.5, 3.0)
    directly = artifacts(behind.run(logged(behind.mlflow_url)))
    front, outage = behind.front, Outage(away)
    front.script(STOPPED, 1000, matching=outage.covers)
    front.set_fault(Delay(delay), matching=is_write)
    run_id = logged(behind.url)
    front.set_fault(None)
    behind.drained(timeout=120)

    assert 503 in {call.status for call in front.wait_for_calls(5, matching=is_read)}
    assert artifacts(behind.run(run_id)) == directly
    assert len(directly) == 5
    assert behind.run(run_id)["info"]["status"] == "FINISHED"
