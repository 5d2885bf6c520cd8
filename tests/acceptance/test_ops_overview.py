# SPDX-License-Identifier: Apache-2.0
"""What an operator on call sees in the console while upstream is away and comes back, and what a viewer can't do."""

import time

import pytest
import requests

from tests.portal import Portal
from tests.upstream_faults import Answer

#: A browser.
pytestmark = pytest.mark.full


#: How soon the overview says that upstream is away.
NOTICE_S = 5
AWAY = Answer(503)
#: Each run is delivered on its own, so several that fail together open the circuit breaker at once.
RUNS = 8
VIEWER = ("--allow", "GetBacklog", "--allow", "GetMetrics", "--allow", "GetWorkers", "--allow", "GetUpstream")


@pytest.fixture(scope="module")
def operator_key(shared_portal: Portal) -> str:
    """The key of a client that may do everything."""
    return shared_portal.key_of("on-call", "--admin")


def log_one_write(portal: Portal, run_id: str, step: int = 0) -> None:
    body = {"run_id": run_id, "key": "m", "value": 1, "step": step, "timestamp": 1}
    answer = portal.bridge.log("log-metric", body)
    assert answer.status_code == 200, answer.text


def wait_in_the_console(portal: Portal, run_id: str) -> None:
    """Open a run's page and wait until it says that an attempt has failed."""
    portal.browser.open(f"{portal.url}/app/ops/runs/{run_id}")
    portal.shows("Upstream fails: ")


def test_the_overview_says_within_five_seconds_that_upstream_is_away_and_shows_it_drain(
    shared_portal: Portal, operator_key: str
) -> None:
    runs = [shared_portal.bridge.create_run() for _ in range(RUNS)]
    shared_portal.bridge.drained()
    shared_portal.sign_in(operator_key, "/app/ops")
    shared_portal.shows("Up to date: MLflow has all writes")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        began = time.monotonic()
        for run_id in runs:
            log_one_write(shared_portal, run_id)

        shared_portal.shows("Degraded: Upstream answers 503.", timeout=NOTICE_S)

        noticed = time.monotonic() - began
        shared_portal.shows("Since ")
        shared_portal.shows("Next: one call is tried")
        shared_portal.shows(f"in {RUNS} runs")
        shared_portal.shows("Runs that wait longest")
        shared_portal.click("What to do")
        shared_portal.browser.eventually(
            "document.activeElement.id && '#' + document.activeElement.id == location.hash"
        )
        assert noticed <= NOTICE_S
    finally:
        shared_portal.bridge.front.set_fault(None)

    shared_portal.click("Overview")
    shared_portal.shows("Up to date: MLflow has all writes", timeout=60)
    shared_portal.no_longer_shows("Runs that wait longest")


def test_a_run_that_fails_says_why_and_is_tried_now(shared_portal: Portal, operator_key: str) -> None:
    run_id = shared_portal.bridge.create_run()
    shared_portal.sign_in(operator_key, "/app/ops/runs")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        log_one_write(shared_portal, run_id)
        wait_in_the_console(shared_portal, run_id)
        shared_portal.click("Try now")
        shared_portal.shows("The next attempt is due.")
    finally:
        shared_portal.bridge.front.set_fault(None)

    shared_portal.shows("Nothing of this run waits", timeout=60)


def test_a_run_with_a_slash_in_its_name_has_a_page_and_is_found_once_created(
    shared_portal: Portal, operator_key: str
) -> None:
    shared_portal.sign_in(operator_key, "/app/ops/runs")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        http, url = shared_portal.bridge.http, shared_portal.bridge.url
        body = {"run": "nightly/17", "experiment_id": "0"}
        answer = http.post(f"{url}/v1/runs", json=body, timeout=30)
        assert answer.status_code in (200, 201, 202), answer.text

        shared_portal.shows("nightly/17")
        shared_portal.click("nightly/17")
        shared_portal.shows("What waits")
        shared_portal.browser.open(shared_portal.url + shared_portal.place())
        shared_portal.shows("What waits")
    finally:
        shared_portal.bridge.front.set_fault(None)
    shared_portal.bridge.drained()

    shared_portal.browser.open(f"{shared_portal.url}/app/ops/jobs?find=nightly/17")
    shared_portal.shows("MLflow has the run nightly/17")
    shared_portal.click("See what waits of it")
    shared_portal.shows("Nothing of this run waits")


def test_a_run_that_was_not_created_is_found_with_its_reason(shared_portal: Portal, operator_key: str) -> None:
    http, url = shared_portal.bridge.http, shared_portal.bridge.url
    answer = http.post(f"{url}/v1/runs", json={"run": "lost", "experiment_id": "99999"}, timeout=30)
    assert answer.status_code == 202, answer.text
    shared_portal.sign_in(operator_key, "/app/ops/jobs")
    shared_portal.bridge.drained()

    shared_portal.browser.open(f"{shared_portal.url}/app/ops/jobs?find=lost")

    shared_portal.shows("The run lost is not created")
    shared_portal.shows("No Experiment with id=99999 exists")


def test_the_worker_is_listed_with_its_version(shared_portal: Portal, operator_key: str) -> None:
    # A worker that has been killed stays listed for a while.
    headers = {"Authorization": f"Bearer {operator_key}"}
    workers = requests.get(f"{shared_portal.bridge.url}/v1/workers", headers=headers, timeout=30).json()["workers"]

    shared_portal.sign_in(operator_key, "/app/ops/workers")

    shared_portal.shows(f"Workers ({len(workers)})")
    shared_portal.shows(workers[0]["version"])
    shared_portal.shows("0 of ")
    shared_portal.no_longer_shows("Versions differ")


def test_a_job_is_found_by_its_id_and_turns_when_it_is_delivered(shared_portal: Portal, operator_key: str) -> None:
    run_id = shared_portal.bridge.create_run()
    shared_portal.sign_in(operator_key, "/app/ops/jobs")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        body = {"run_id": run_id, "key": "m", "value": 1, "step": 1, "timestamp": 1}
        job_id = shared_portal.bridge.log("log-metric", body).headers["Job-Id"]

        shared_portal.browser.open(f"{shared_portal.url}/app/ops/jobs?find={job_id}")
        shared_portal.shows("As a job's id")
        shared_portal.browser.open(f"{shared_portal.url}/app/ops/jobs/{job_id}")
        shared_portal.shows("The page waits for its delivery")
    finally:
        shared_portal.bridge.front.set_fault(None)

    shared_portal.shows("MLflow has it.", timeout=60)


def test_a_viewer_sees_and_cannot_act(shared_portal: Portal) -> None:
    key = shared_portal.key_of("viewer", "--read-only", *VIEWER)
    run_id = shared_portal.bridge.create_run()
    attempt = f"/v1/lanes/{run_id}/attempt"
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        log_one_write(shared_portal, run_id)
        shared_portal.sign_in(key, "/app/ops")
        wait_in_the_console(shared_portal, run_id)
        shared_portal.shows("Only writes and dead letters of the client viewer are listed.")

        button = "[...document.querySelectorAll('button')].find((each) => each.innerText.trim() == 'Try now')"
        assert shared_portal.browser.run(f"return {button}.getAttribute('aria-disabled')") == "true"
        shared_portal.browser.run(f"{button}.focus()")
        shared_portal.shows("mlflow-bridge keys update viewer --allow AttemptLane")
        posted = f"return fetch({attempt!r}, {{method: 'POST'}}).then((answer) => answer.status)"
        assert shared_portal.browser.run(posted) == 403
    finally:
        shared_portal.bridge.front.set_fault(None)
    shared_portal.bridge.drained()
