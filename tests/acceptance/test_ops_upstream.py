# SPDX-License-Identifier: Apache-2.0
"""An operator pauses and resumes deliveries, probes upstream and reads what failed, in the console."""

import contextlib

import pytest

from tests.portal import Portal
from tests.servers import wait_until
from tests.upstream_faults import Answer

#: A browser.
pytestmark = pytest.mark.full


AWAY = Answer(503)
WHY = "Maintenance of the tracking server"


@pytest.fixture(scope="module")
def operator_key(shared_portal: Portal) -> str:
    """The key of a client that may do everything."""
    return shared_portal.key_of("maintainer", "--admin")


def log_one_write(portal: Portal, run_id: str) -> str:
    body = {"run_id": run_id, "key": "m", "value": 1, "step": 1, "timestamp": 1}
    answer = portal.bridge.log("log-metric", body)
    assert answer.status_code == 200, answer.text
    return answer.headers["Job-Id"]


def resume(portal: Portal) -> None:
    """Resume deliveries past the page, so that no test leaves them paused."""
    http, url = portal.bridge.http, portal.bridge.url
    for upstream in http.get(f"{url}/v1/upstreams", timeout=30).json()["upstreams"]:
        http.put(f"{url}/v1/upstreams/{upstream['id']}/pause", json={"paused": False}, timeout=30)


def test_deliveries_are_paused_and_resumed_through_the_page(shared_portal: Portal, operator_key: str) -> None:
    run_id = shared_portal.bridge.create_run()
    shared_portal.sign_in(operator_key, "/app/ops/upstreams")
    try:
        shared_portal.click("Pause deliveries…")
        shared_portal.shows("mlflow-bridge upstream pause --why REASON --for 15m")
        shared_portal.browser.enter("[role=dialog] input", WHY)
        shared_portal.browser.press("\ue007")
        shared_portal.shows(f"Deliveries are paused: {WHY}")

        job_id = log_one_write(shared_portal, run_id)
        shared_portal.click("Overview")
        shared_portal.shows(f"Paused: {WHY}.")
        shared_portal.shows("Paused by maintainer")
        assert shared_portal.bridge.job(job_id, wait=1)["status"] == "pending"

        shared_portal.click("Resume under Upstreams")
        shared_portal.click("Resume deliveries")
        shared_portal.shows("Calls go through")
        assert shared_portal.bridge.job(job_id)["status"] == "delivered"
    finally:
        resume(shared_portal)


def test_a_probe_says_what_is_wrong_and_the_list_what_failed(shared_portal: Portal, operator_key: str) -> None:
    run_id = shared_portal.bridge.create_run()
    shared_portal.sign_in(operator_key, "/app/ops/upstreams")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        log_one_write(shared_portal, run_id)
        shared_portal.shows("POST runs/log-")
        shared_portal.shows(run_id[:8])
        shared_portal.click("Probe")
        shared_portal.shows("Upstream does not answer as it should")
    finally:
        shared_portal.bridge.front.set_fault(None)
    shared_portal.bridge.drained()

    # A busy MLflow may answer a probe a moment later.
    wait_until(lambda: probed_well(shared_portal), timeout=60)


def probed_well(portal: Portal) -> bool:
    """Probe once more, and return whether the page says soon that upstream answers."""
    portal.click("Probe")
    with contextlib.suppress(AssertionError):
        portal.shows("Upstream answers", timeout=5)
        return True
    return False


def test_a_viewer_can_neither_pause_nor_probe(shared_portal: Portal) -> None:
    key = shared_portal.key_of("onlooker", "--read-only", "--allow", "GetUpstream", "--allow", "GetBacklog")
    shared_portal.sign_in(key, "/app/ops/upstreams")
    shared_portal.shows("Calls go through")

    off = "[...document.querySelectorAll('button[aria-disabled=true]')].map((each) => each.innerText.trim())"
    assert shared_portal.browser.run(f"return {off}") == ["Probe", "Pause deliveries…"]
    upstream_id = shared_portal.bridge.http.get(f"{shared_portal.bridge.url}/v1/upstreams", timeout=30).json()[
        "upstreams"
    ][0]["id"]
    probed = f"return fetch('/v1/upstreams/{upstream_id}/probe', {{method: 'POST'}}).then((answer) => answer.status)"
    assert shared_portal.browser.run(probed) == 403
