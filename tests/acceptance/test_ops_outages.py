# SPDX-License-Identifier: Apache-2.0
"""The console says the truth while the store, the workers or the api are away, and goes on by itself afterwards."""

import pytest

from tests.portal import Portal

#: A browser.
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def operator_key(shared_portal: Portal) -> str:
    """The key of a client that may do everything."""
    return shared_portal.key_of("night-watch", "--admin")


def test_the_overview_explains_that_the_store_is_away(shared_portal: Portal, operator_key: str) -> None:
    shared_portal.sign_in(operator_key, "/app/ops")
    shared_portal.shows("Up to date: MLflow has all writes")

    with shared_portal.bridge.store.frozen():
        shared_portal.shows("Unavailable: the store does not respond.")
        shared_portal.shows("No accepted write is lost.")

    shared_portal.shows("Up to date: MLflow has all writes")


def test_no_worker_is_a_cause_and_a_notice_on_each_page(shared_portal: Portal, operator_key: str) -> None:
    (worker,) = shared_portal.bridge.workers
    shared_portal.sign_in(operator_key, "/app/ops/upstreams")
    shared_portal.shows("Calls go through")
    worker.kill()
    try:
        shared_portal.shows("Degraded: No worker process has reported")
        shared_portal.click("See why, and what comes next")
        shared_portal.shows("Next: Writes wait, and are delivered once a worker runs.")
    finally:
        worker.start()

    shared_portal.shows("Up to date: MLflow has all writes")


def test_an_api_that_is_away_turns_buttons_off_and_keeps_what_is_shown(
    shared_portal: Portal, operator_key: str
) -> None:
    api = shared_portal.bridge.api
    shared_portal.sign_in(operator_key, "/app/ops/upstreams")
    shared_portal.shows("Calls go through")
    api.kill()
    try:
        shared_portal.shows("The bridge is not reachable since")
        off = "[...document.querySelectorAll('button[aria-disabled=true]')].map((each) => each.innerText.trim())"
        assert shared_portal.browser.run(f"return {off}") == ["Probe", "Pause deliveries…"]
        shared_portal.shows("Calls go through")
    finally:
        api.start()

    shared_portal.no_longer_shows("The bridge is not reachable since")
