# SPDX-License-Identifier: Apache-2.0
"""Signing in to the portal and out of it, in a real browser: with a key, and at an OpenID provider of another site."""

import pytest

from tests.portal import Portal

#: A browser.
pytestmark = pytest.mark.full


PLACE = "/app/jobs?run=a1b2"


def test_a_sign_in_with_a_key_leads_back_to_the_place_and_a_sign_out_ends_it(shared_portal: Portal) -> None:
    shared_portal.sign_in(shared_portal.key_of("anna"), "/app/#/experiments/0")
    shared_portal.frame_shows("Default")
    assert shared_portal.place().startswith("/app/#/experiments/0")

    shared_portal.click("Sign out")

    shared_portal.shows("Sign in with the key")
    assert shared_portal.place() == "/app/sign-in"
    assert shared_portal.fetched("/v1/backlog/mine") == 401


def test_the_sign_in_page_describes_a_key_as_keys_are(shared_portal: Portal) -> None:
    prefix, _, _ = shared_portal.key_of("described").partition("_")

    shared_portal.start_signed_out()

    shared_portal.shows(f"It begins with {prefix}_.")


def test_a_wrong_key_is_refused_with_the_cause(shared_portal: Portal) -> None:
    shared_portal.start_signed_out()

    shared_portal.enter_key("mbk_wrong")

    shared_portal.shows("The key is not valid")


def test_a_sign_in_at_a_provider_of_another_site_leads_back_to_the_place(shared_portal: Portal) -> None:
    shared_portal.start_signed_out(PLACE)

    shared_portal.click("Sign in with your organisation")

    shared_portal.shows("Sign out")
    shared_portal.shows("Anna")
    assert shared_portal.place() == PLACE


def test_a_sign_out_ends_the_providers_session_and_comes_back(shared_portal: Portal) -> None:
    shared_portal.start_signed_out(PLACE)
    shared_portal.click("Sign in with your organisation")
    shared_portal.shows("Sign out")
    shared_portal.provider.asked.clear()

    shared_portal.click("Sign out")

    shared_portal.shows("Sign in with the key")
    assert [path for path in shared_portal.provider.asked if path.startswith("/logout?")] != []
    assert shared_portal.fetched("/v1/backlog/mine") == 401


def test_a_session_that_ends_meanwhile_shows_a_dialog_and_keeps_place_and_work(shared_portal: Portal) -> None:
    key = shared_portal.key_of("carl")
    shared_portal.sign_in(key, PLACE)
    shared_portal.browser.enter('input[placeholder], input[type="search"], main input', "half typed")
    sessions = shared_portal.bridge.http.get(f"{shared_portal.bridge.url}/v1/sessions", timeout=30).json()["sessions"]
    [session_id] = [each["session_id"] for each in sessions if each["client"] == "carl"]

    ended = shared_portal.bridge.http.delete(f"{shared_portal.bridge.url}/v1/sessions/{session_id}", timeout=30)
    assert ended.status_code == 204
    shared_portal.shows("You are signed out")
    shared_portal.enter_key(key)

    shared_portal.no_longer_shows("You are signed out")
    assert shared_portal.place() == PLACE
    assert shared_portal.browser.run("return document.querySelector('main input').value") == "half typed"
