# SPDX-License-Identifier: Apache-2.0
"""What clients see in the portal who may not do everything, and what it says while MLflow is away; in a browser."""

import time

import pytest

from tests.chromium import ENTER, TAB
from tests.portal import Portal
from tests.servers import wait_until
from tests.upstream_faults import Answer

#: A browser.
pytestmark = pytest.mark.full


#: How long a client may still use the bridge after its key is revoked.
REVOCATION_S = 5
AWAY = Answer(503)
PAGES = ("/app/", "/app/jobs", "/app/keys", "/app/api", "/app/ops", "/app/nowhere")


def headers_of(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_client_whose_key_is_revoked_is_out_within_five_seconds(shared_portal: Portal) -> None:
    key = shared_portal.key_of("leaver")
    shared_portal.sign_in(key, "/app/jobs")
    assert shared_portal.fetched("/v1/backlog/mine") == 200

    shared_portal.operate("keys", "revoke", "--client", "leaver")
    revoked = time.monotonic()
    wait_until(lambda: shared_portal.fetched("/v1/backlog/mine") == 401, timeout=REVOCATION_S)

    assert time.monotonic() - revoked <= REVOCATION_S
    assert shared_portal.fetched("/ajax-api/2.0/mlflow/experiments/get?experiment_id=0") == 401
    shared_portal.shows("You are signed out")


def test_a_client_limited_to_experiments_sees_its_own_pages_and_why(shared_portal: Portal) -> None:
    run_id = shared_portal.charted_run("a run of the limited client")

    shared_portal.sign_in(shared_portal.key_of("limited", "--experiment", "0"), "/app/")

    shared_portal.shows("You may use certain experiments only.")
    assert shared_portal.browser.run("return document.querySelector('iframe')") is None
    shared_portal.click("Default")
    shared_portal.shows("a run of the limited client")
    shared_portal.browser.open(f"{shared_portal.url}/app/#/experiments/0/runs/{run_id}")
    shared_portal.shows("Latest metrics")
    shared_portal.browser.eventually("document.querySelector('.uplot canvas')?.width > 100")
    assert shared_portal.place() == f"/app/runs/{run_id}"


def test_a_read_only_client_sees_what_it_lacks_to_see_and_to_replay_its_dead_letter(shared_portal: Portal) -> None:
    key = shared_portal.key_of("reader")
    run_id = shared_portal.bridge.create_run()
    for value in ("first", "second"):
        body = {"run_id": run_id, "key": "p", "value": value}
        job_id = shared_portal.bridge.log("log-parameter", body, **headers_of(key)).headers["Job-Id"]
    assert shared_portal.bridge.job(job_id)["status"] == "dead"
    shared_portal.operate("keys", "update", "reader", "--read-only")
    shared_portal.sign_in(key, "/app/jobs")
    shared_portal.shows("You may read, not write.")
    shared_portal.shows("mlflow-bridge keys update reader --allow GetDeadLetter")

    shared_portal.operate("keys", "update", "reader", "--allow", "GetDeadLetter")
    # The bridge knows the permissions of a client for some seconds.
    wait_until(lambda: shared_portal.fetched("/v1/dead-letters?client=reader") == 200)
    shared_portal.browser.open(f"{shared_portal.url}/app/jobs")

    shared_portal.shows("already logged with value='first'")
    replay = "document.querySelector('[aria-label^=\"Replay the dead letter\"]')"
    assert shared_portal.browser.run(f"return {replay}.getAttribute('aria-disabled')") == "true"
    # The page may still move, which hides the reason again.
    reason = "document.body.innerText.includes('mlflow-bridge keys update reader --allow ReplayDeadLetter')"
    shared_portal.browser.eventually(f"({replay}.blur(), {replay}.focus(), {reason})")


def test_the_bar_says_that_mlflow_is_behind_while_it_is_away(shared_portal: Portal) -> None:
    key = shared_portal.key_of("waiter")
    run_id = shared_portal.bridge.create_run()
    shared_portal.sign_in(key, "/app/jobs")
    try:
        shared_portal.bridge.front.set_fault(AWAY)
        for step in range(3):
            body = {"run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": step}
            answer = shared_portal.bridge.log("log-metric", body, **headers_of(key))
            assert answer.status_code == 200, answer.text

        shared_portal.shows("behind: 3 of your writes wait")
    finally:
        shared_portal.bridge.front.set_fault(None)

    shared_portal.no_longer_shows("behind: ")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_barrier(shared_portal: Portal, theme: str) -> None:
    shared_portal.start_signed_out()
    shared_portal.choose_theme(theme)
    shared_portal.browser.open(f"{shared_portal.url}/app/sign-in")
    shared_portal.shows("Sign in with the key")
    found = {"/app/sign-in": shared_portal.accessibility_violations()}
    shared_portal.enter_key(shared_portal.key_of(f"operator-{theme}", "--admin"))
    shared_portal.shows("Sign out")
    for page in PAGES:
        shared_portal.browser.open(shared_portal.url + page)
        shared_portal.browser.eventually("document.querySelector('main h1')")
        found[page] = shared_portal.accessibility_violations()

    assert {page: violations for page, violations in found.items() if violations} == {}


def test_the_keyboard_alone_signs_in_and_reaches_each_control_of_the_header(shared_portal: Portal) -> None:
    key = shared_portal.key_of("typist")
    shared_portal.start_signed_out("/app/keys")
    focused = "document.activeElement"
    shared_portal.tab_to(f"{focused}.name == 'key'")
    shared_portal.browser.press(*key, ENTER)
    shared_portal.shows("Keys of typist")

    shared_portal.browser.run("document.activeElement.blur()")
    reached = []
    for _ in range(8):
        shared_portal.browser.press(TAB)
        reached.append(shared_portal.browser.run(f"return {focused}.innerText.trim()"))

    assert reached[:2] == ["Skip to the content", "MLflow Bridge"]
    assert reached[2:6] == ["Experiments", "My jobs", "My keys", "API reference"]
    assert "Sign out" in reached
