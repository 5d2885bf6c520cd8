# SPDX-License-Identifier: Apache-2.0
"""MLflow's UI inside the portal, in a real browser: its pages, its address, and what an artifact's script may do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.portal import FRAME, Portal, portal

STEPS = 20
POINTS = f"{FRAME}?.querySelectorAll('.js-plotly-plot .scatterlayer .trace:first-child .point').length"


@pytest.fixture(scope="module")
def shared(mlflow_url: str, short_dir: Path) -> Iterator[Portal]:
    with portal(mlflow_url, short_dir / "portal-frame") as running:
        running.sign_in(running.key_of("anna"), "/app/")
        yield running


@pytest.fixture
def opened(shared: Portal) -> Iterator[Portal]:
    """The portal, with a client that may log and read; no policy has refused anything when the test ends."""
    shared.browser.refusals()
    yield shared
    assert shared.browser.refusals() == []


def charted_run(opened: Portal, name: str) -> str:
    """A run in MLflow with a metric of some steps."""
    run_id = opened.bridge.create_run()
    points = [{"key": "loss", "value": 1 / (step + 1), "step": step, "timestamp": step} for step in range(STEPS)]
    tags = [{"key": "mlflow.runName", "value": name}]
    assert opened.bridge.log("log-batch", {"run_id": run_id, "metrics": points, "tags": tags}).status_code == 200
    opened.bridge.drained()
    return run_id


def test_the_frame_shows_mlflows_experiments_and_the_address_follows_it(opened: Portal) -> None:
    opened.browser.open(f"{opened.url}/app/")
    opened.frame_shows("Default")

    opened.browser.run(f"[...{FRAME}.querySelectorAll('a')].find((each) => each.innerText == 'Default').click()")

    opened.browser.eventually("location.hash.startsWith('#/experiments/0')")


def test_an_address_with_a_place_opens_a_runs_chart_in_the_frame(opened: Portal, tmp_path: Path) -> None:
    place = f"/app/#/experiments/0/runs/{charted_run(opened, 'drawn in the frame')}/model-metrics"

    opened.browser.open(f"{opened.url}/app/keys")
    opened.browser.open(opened.url + place)

    opened.browser.eventually(f"{POINTS} == {STEPS}")
    opened.frame_shows("drawn in the frame")
    assert opened.place() == place
    (tmp_path / "run.png").write_bytes(opened.browser.picture())
