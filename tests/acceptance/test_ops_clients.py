# SPDX-License-Identifier: Apache-2.0
"""Clients, keys, usage and the audit trail in the console of operations, in a browser."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.acceptance.test_ops_letters import click_in_dialog
from tests.chromium import ENTER
from tests.portal import Portal
from tests.servers import wait_until

#: A browser.
pytestmark = pytest.mark.full


PAGE = "/app/ops/clients"
DAY_S = 86_400
DOWN = "\ue015"
#: How long a revoked key may still be used.
REVOCATION_S = 5


def status_with(portal: Portal, key: str) -> int:
    """What the bridge answers to a request with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{portal.bridge.url}/v1/backlog/mine", headers=headers, timeout=30).status_code


def shown_secret(portal: Portal) -> str:
    portal.shows("It is shown only now")
    return str(portal.browser.run("return document.querySelector('[aria-label=\"the secret\"]').innerText.trim()"))


def press(portal: Portal, name: str) -> None:
    """Press a button by its accessible name."""
    button = f"""document.querySelector('button[aria-label="{name}"]')"""
    portal.browser.eventually(button)
    portal.browser.run(f"{button}.click()")


@contextmanager
def signed_in_yesterday(portal: Portal, subject: str) -> Iterator[None]:
    """Have the provider say that it has known a person since yesterday."""
    provider = portal.provider
    before, provider.person = provider.person, {"sub": subject, "name": subject, "groups": ["ml"]}
    provider.claims["auth_time"] = int(time.time()) - DAY_S
    try:
        yield
    finally:
        provider.person = before
        provider.claims.pop("auth_time", None)


def test_a_key_is_shown_once_and_ends_within_seconds_of_its_revocation(shared_portal: Portal) -> None:
    shared_portal.key_of("program")
    shared_portal.sign_in(shared_portal.key_of("keeper", "--admin"), f"{PAGE}/program")

    shared_portal.click("New key")
    click_in_dialog(shared_portal, "Make the key")
    secret = shown_secret(shared_portal)
    shared_portal.shows(f"export MLFLOW_TRACKING_TOKEN={secret}")
    assert status_with(shared_portal, secret) == 200
    shared_portal.browser.run("document.querySelector('[role=dialog] button').click()")
    shared_portal.shows("Store the key first: it cannot be shown again.")
    click_in_dialog(shared_portal, "I have stored it")

    shared_portal.no_longer_shows(secret)
    key_id = secret.split("_")[1][:10]
    shared_portal.shows(key_id)
    page = shared_portal.browser.run("return document.documentElement.outerHTML")
    listed = requests.get(
        f"{shared_portal.bridge.url}/v1/keys", headers=shared_portal.bridge.http.headers, timeout=30
    ).text
    stored = shared_portal.browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert secret not in page + listed + stored

    press(shared_portal, f"Revoke the key {key_id}")
    shared_portal.browser.enter("input[name=key-id]", key_id)
    click_in_dialog(shared_portal, "Revoke it")
    wait_until(lambda: status_with(shared_portal, secret) == 401, timeout=REVOCATION_S)
    shared_portal.no_longer_shows(key_id)


def test_an_old_sign_in_is_repeated_before_a_key_is_made(shared_portal: Portal) -> None:
    shared_portal.key_of("robot")
    shared_portal.operate("keys", "update", "oidc:olga", "--admin")
    with signed_in_yesterday(shared_portal, "olga"):
        shared_portal.start_signed_out(f"{PAGE}/robot")
        shared_portal.click("Sign in with your organisation")
        shared_portal.click("New key")
        click_in_dialog(shared_portal, "Make the key")
        shared_portal.shows("needs a sign-in of the last 15 minutes")
        shared_portal.provider.claims.pop("auth_time")
        shared_portal.browser.click("[role=dialog] a[target=_blank]")
        secret = shown_secret(shared_portal)
        shared_portal.browser.close_other_tabs()

    assert status_with(shared_portal, secret) == 200
    click_in_dialog(shared_portal, "I have stored it")


def test_what_another_administrator_has_changed_is_shown_and_not_overwritten(shared_portal: Portal) -> None:
    shared_portal.key_of("shared")
    shared_portal.sign_in(shared_portal.key_of("first-administrator", "--admin"), f"{PAGE}/shared")
    shared_portal.browser.enter("input[name=quota-writes]", "50")

    shared_portal.operate("keys", "update", "shared", "--deny", "SetTag")
    shared_portal.click("Save")
    shared_portal.shows("The client was changed meanwhile, so nothing is saved")
    shared_portal.shows("Denied by name: none became SetTag")
    shared_portal.click("Take the new state")
    shared_portal.no_longer_shows("The client was changed meanwhile")
    shared_portal.browser.enter("input[name=quota-writes]", "60")
    shared_portal.click("Save")
    shared_portal.shows("Saved. It holds within five seconds.")

    url = f"{shared_portal.bridge.url}/v1/clients/shared"
    stored = shared_portal.bridge.http.get(url, timeout=30).json()
    assert (stored["deny"], stored["quota"]["writes"]) == (["SetTag"], 60)


def test_a_client_is_created_and_its_permissions_are_tried(shared_portal: Portal) -> None:
    shared_portal.sign_in(shared_portal.key_of("creator", "--admin"), PAGE)

    shared_portal.click("New client")
    shared_portal.browser.enter("input[name=client]", "night-batch")
    click_in_dialog(shared_portal, "Create the client")
    shared_portal.shows("Client night-batch")
    shared_portal.shows("May night-batch …?")
    shared_portal.browser.click(".tester button")
    option = "[...document.querySelectorAll('[role=option]')].find((each) => each.innerText.startsWith('DeleteRun'))"
    shared_portal.browser.eventually(option)
    shared_portal.browser.press(*"DeleteRun", DOWN, ENTER)

    shared_portal.shows("No: ")
    command = "mlflow-bridge clients permission night-batch DeleteRun"
    assert command in shared_portal.browser.run("return document.body.textContent")


def test_a_viewer_of_clients_can_not_change_them(shared_portal: Portal) -> None:
    shared_portal.key_of("watched")
    key = shared_portal.key_of("watcher", "--read-only", "--allow", "GetClient", "--allow", "GetBacklog")
    shared_portal.sign_in(key, f"{PAGE}/watched")
    shared_portal.shows("Permissions and limits")

    names = ["New key", "Save", "Delete…"]
    found = f"""{names!r}.map((name) => [...document.querySelectorAll('button')]
        .find((each) => each.innerText.trim() == name)?.getAttribute('aria-disabled'))"""
    shared_portal.browser.eventually(f"({found}).every((each) => each == 'true')")
    made = """return fetch('/v1/clients/watched/keys',
        {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"kind": "bearer"}'})
        .then((answer) => answer.status)"""
    assert shared_portal.browser.run(made) == 403


def test_usage_and_the_audit_trail_name_what_was_done_and_by_which_client(shared_portal: Portal) -> None:
    key = shared_portal.key_of("busy")
    assert [status_with(shared_portal, key) for _ in range(3)] == [200] * 3
    shared_portal.sign_in(shared_portal.key_of("auditor", "--admin"), "/app/ops/audit?client=auditor")

    # These pages ask every 15 s.
    shared_portal.shows("SignIn", timeout=60)
    shared_portal.shows("allowed 200", timeout=60)
    shared_portal.browser.open(f"{shared_portal.url}/app/ops/usage")
    shared_portal.shows("busy", timeout=60)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_of_clients_has_a_barrier(shared_portal: Portal, theme: str) -> None:
    shared_portal.start_signed_out()
    shared_portal.choose_theme(theme)
    shared_portal.sign_in(shared_portal.key_of(f"checker-{theme}", "--admin"), PAGE)
    shared_portal.browser.run(f"localStorage.setItem('mlflow-bridge-theme', {theme!r})")
    found = {}
    for page in (PAGE, f"{PAGE}/checker-{theme}", "/app/ops/usage", "/app/ops/audit"):
        shared_portal.browser.open(shared_portal.url + page)
        shared_portal.browser.eventually("document.querySelector('main table tbody tr')")
        found[page] = shared_portal.accessibility_violations()

    assert {page: violations for page, violations in found.items() if violations} == {}
