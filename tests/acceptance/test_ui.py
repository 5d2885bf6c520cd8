# SPDX-License-Identifier: Apache-2.0
"""MLflow's UI in a real browser that knows the bridge only, under a name that MLflow itself would turn away."""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from tests.chromium import NAME, Browser, UpstreamSender, chromium
from tests.system import System

#: A browser.
pytestmark = pytest.mark.full


STEPS = 20
RUN_NAME = "document.querySelector('[data-testid=runs-header]')?.innerText"
CHART = "document.querySelector('.js-plotly-plot .scatterlayer')"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium") as browser:
        yield browser


def page_of(run_id: str, bridge: System) -> str:
    return f"{named(bridge.url)}/#/experiments/0/runs/{run_id}"


def named(url: str) -> str:
    """The same place under a name of its own, as if it were not on this machine."""
    return url.replace("127.0.0.1", NAME)


def as_mlflow_answers(sender: UpstreamSender, bridge: System) -> bool:
    """Whether MLflow itself, when it is asked that, fails in the same way; its assistant is for its own host only."""
    asked = urlsplit(sender.url)
    if "/mlflow/assistant/" in asked.path:
        return sender.status == 403
    itself = f"{bridge.mlflow_url}{asked.path}?{asked.query}"
    return sender.method == "GET" and requests.get(itself, timeout=30).status_code == sender.status


def test_the_ui_shows_a_runs_chart_and_nothing_that_it_asks_for_is_missing(
    bridge: System, browser: Browser, tmp_path: Path
) -> None:
    run_id = bridge.create_run()
    points = [{"key": "loss", "value": 1 / (step + 1), "step": step, "timestamp": step} for step in range(STEPS)]
    tags = [{"key": "mlflow.runName", "value": "drawn by the ui"}]
    assert bridge.log("log-batch", {"run_id": run_id, "metrics": points, "tags": tags}).status_code == 200
    bridge.drained()

    browser.open(f"{page_of(run_id, bridge)}/model-metrics")
    browser.until(f"{CHART}?.querySelectorAll('.trace:first-child .point').length == {STEPS}")
    picture = browser.picture()
    (tmp_path / "run.png").write_bytes(picture)

    text = browser.text()
    exchanges = [each for each in browser.exchanges() if each.url.startswith(named(bridge.url))]
    assert "drawn by the ui" in text
    assert "drawn by the ui (loss)" in text
    assert pixels_of_the_line(picture, browser) > 50
    assert len([each for each in exchanges if "ajax-api" in each.url and each.status == 200]) > 3
    failed = [each for each in exchanges if each.error or each.status >= 400]
    assert [each for each in failed if not as_mlflow_answers(each, bridge)] == []


def pixels_of_the_line(picture: bytes, browser: Browser) -> int:
    """How much of the picture, where the chart must be, has the line's colour."""
    line = f"{CHART}.querySelector('.js-line')"
    colour = browser.run(f"return getComputedStyle({line}).stroke.match(/\\d+/g).map(Number)")
    corners = browser.run(f"const box = {CHART}.getBoundingClientRect(); return [box.x, box.y, box.right, box.bottom]")
    with Image.open(io.BytesIO(picture)) as image:
        chart = image.convert("RGB").crop(tuple(corners))
        counts = {each: count for count, each in chart.getcolors(chart.width * chart.height) or []}
    return counts.get(tuple(colour), 0)


def test_a_run_that_is_renamed_in_the_ui_has_its_new_name_there_and_in_mlflow(bridge: System, browser: Browser) -> None:
    run_id = bridge.create_run()

    browser.open(page_of(run_id, bridge))
    browser.click('[data-testid="overflow-menu-trigger"]')
    browser.click('[data-testid="overflow-rename-button"]')
    browser.enter('[data-testid="rename-modal-input"]', "renamed in the ui")
    browser.click('[role="dialog"] button[class*="btn-primary"]')
    browser.until(f"{RUN_NAME} == 'renamed in the ui'")

    bridge.drained()
    assert bridge.run(run_id)["info"]["run_name"] == "renamed in the ui"


def test_a_proxied_write_of_a_page_that_has_a_name_of_its_own_is_not_refused(bridge: System) -> None:
    url = urlsplit(named(bridge.url))
    headers = {"Origin": f"http://{url.netloc}", "Host": url.netloc, "Sec-Fetch-Site": "same-origin"}
    call = "/ajax-api/2.0/mlflow/experiments/create"

    through = requests.post(bridge.url + call, json={"name": "of a browser"}, headers=headers, timeout=30)
    itself = requests.post(bridge.mlflow_url + call, json={"name": "directly"}, headers=headers, timeout=30)

    assert through.status_code == 200, through.text
    assert itself.status_code == 403, "MLflow no longer turns away such pages, so that this proves nothing"
    named_in_mlflow = requests.get(
        f"{bridge.mlflow_url}/api/2.0/mlflow/experiments/get", params=through.json(), timeout=30
    ).json()["experiment"]["name"]
    assert named_in_mlflow == "of a browser"
