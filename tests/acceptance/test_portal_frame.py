# SPDX-License-Identifier: Apache-2.0
"""MLflow's UI inside the portal, in a real browser: its pages, its address, and what an artifact's script may do."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

from tests.portal import FRAME, STEPS, Portal

#: A browser.
pytestmark = pytest.mark.full


POINTS = f"{FRAME}?.querySelectorAll('.js-plotly-plot .scatterlayer .trace:first-child .point').length"
#: What a script in an artifact does; harmless, and seen from outside.
PAYLOAD = "document.title = top.document.title = 'script ran'"
HTML = f'<!doctype html><title>artifact</title><p>shown</p><script>{PAYLOAD}</script><img src=x onerror="{PAYLOAD}">'
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>artifact</title>'
    f"<script>{PAYLOAD}</script></svg>"
)
#: A loader that makes JavaScript's types calls the function as soon as the value is shown.
MLMODEL = f"""
artifact_path: model
flavors:
  python_function: {{loader_module: m, python_version: '3.11'}}
run_id: !<tag:yaml.org,2002:js/function> "function () {{ {PAYLOAD} }}"
model_uuid: {{toString: !<tag:yaml.org,2002:js/function> "function () {{ {PAYLOAD}; return '' }}"}}
utc_time_created: {{toString: !!js/function "function () {{ {PAYLOAD}; return '' }}"}}
"""
ARTIFACTS = {"page.html": HTML, "picture.svg": SVG, "model/MLmodel": MLMODEL}
#: What the frame's document is like when it shows an artifact; the last is MLflow's page for a whole model.
SHOWN = {
    "page.html": "document.querySelector('iframe')?.contentWindow?.length == 1",
    "picture.svg": f"{FRAME}?.querySelector('img.rc-image-img')?.naturalWidth > 0",
    "model/MLmodel": f"{FRAME}?.body?.innerText.includes('js/function')",
    "model": f"{FRAME}?.body?.innerText.includes('load model information')",
}


@pytest.fixture
def opened(shared_portal: Portal) -> Iterator[Portal]:
    """The portal, where a client is signed in that may log and read."""
    shared_portal.sign_in(shared_portal.key_of(f"anna-{uuid4().hex[:8]}"), "/app/keys")
    shared_portal.browser.refusals()
    yield shared_portal
    shared_portal.browser.resize(1400, 900)


def with_artifacts(opened: Portal) -> str:
    """A run whose artifacts carry scripts."""
    run_id = opened.bridge.create_run()
    for name, content in ARTIFACTS.items():
        url = f"{opened.bridge.mlflow_url}/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}"
        assert requests.put(url, data=content.encode(), timeout=30).status_code == 200
    # MLflow's page of a model reads its MLmodel where the run says that there is one.
    model = {"run_id": run_id, "artifact_path": "model", "utc_time_created": "2026-01-01", "flavors": {"m": {}}}
    tag = {"run_id": run_id, "key": "mlflow.log-model.history", "value": json.dumps([model])}
    assert opened.bridge.log("set-tag", tag).status_code == 200
    opened.bridge.drained()
    return run_id


def test_the_frame_shows_mlflows_experiments_and_the_address_follows_it(opened: Portal) -> None:
    opened.browser.open(f"{opened.url}/app/")
    opened.frame_shows("Default")

    opened.browser.run(f"[...{FRAME}.querySelectorAll('a')].find((each) => each.innerText == 'Default').click()")

    opened.browser.eventually("location.hash.startsWith('#/experiments/0')")
    assert opened.browser.refusals() == []


def test_an_address_with_a_place_opens_a_runs_chart_in_the_frame(opened: Portal, tmp_path: Path) -> None:
    place = f"/app/#/experiments/0/runs/{opened.charted_run('drawn in the frame')}/model-metrics"

    opened.browser.open(opened.url + place)

    opened.browser.eventually(f"{POINTS} == {STEPS}")
    opened.frame_shows("drawn in the frame")
    assert opened.place() == place
    (tmp_path / "light.png").write_bytes(opened.browser.picture())

    # MLflow's UI reads the theme when it loads, so the portal loads it again.
    opened.browser.run(f"{FRAME}.documentElement.setAttribute('data-before', 'true')")
    opened.browser.click("button[aria-pressed]")
    opened.browser.eventually(f"!{FRAME}?.documentElement?.dataset.before && {POINTS} == {STEPS}")
    (tmp_path / "dark.png").write_bytes(opened.browser.picture())
    opened.browser.resize(400, 900)
    opened.browser.eventually("innerWidth == 400")
    (tmp_path / "narrow.png").write_bytes(opened.browser.picture())
    assert opened.browser.run("return document.documentElement.scrollWidth") <= 400
    assert opened.browser.refusals() == []


@pytest.mark.parametrize(("name", "content"), [("page.html", HTML), ("picture.svg", SVG)])
def test_the_payload_runs_where_nothing_keeps_it_from_that(
    shared_portal: Portal, tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)

    shared_portal.browser.open(path.as_uri())

    shared_portal.browser.eventually("document.title == 'script ran'")


@pytest.mark.parametrize("name", list(SHOWN))
def test_an_artifacts_script_runs_nothing_when_it_is_shown_in_the_frame(opened: Portal, name: str) -> None:
    run_id = with_artifacts(opened)

    opened.browser.open(f"{opened.url}/app/#/experiments/0/runs/{run_id}/artifacts/{name}")
    opened.browser.eventually(SHOWN[name])
    # Two more pictures are drawn, so that a script which came with the artifact has had its turn.
    opened.browser.call_back(
        "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))"
    )

    titles = opened.browser.run(f"return [document.title, {FRAME}.title]")
    assert titles == ["Experiments \u00b7 MLflow Bridge", f"Run {run_id} - MLflow"]


@pytest.mark.parametrize("name", list(ARTIFACTS))
def test_an_artifact_that_is_opened_as_a_page_is_no_page_of_this_origin(opened: Portal, name: str) -> None:
    run_id = with_artifacts(opened)

    policy = opened.browser.run(
        f"return fetch('/get-artifact?run_uuid={run_id}&path={quote(name, safe='')}')"
        ".then((answer) => `${answer.status} ${answer.headers.get('Content-Security-Policy')}`)"
    )

    assert policy.startswith("200 sandbox; default-src 'none'")
