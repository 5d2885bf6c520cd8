# SPDX-License-Identifier: Apache-2.0
"""Dead letters in the console of operations: filtered, replayed at a rate, discarded by count; in a browser."""

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.outbox import Accepted, DeadLettering, DeadLetterReason, Offer, Settlement
from bridge.redis_store.client import disconnect
from bridge.redis_store.outbox import RedisOutbox, connect
from tests.acceptance.test_dead_letters import no_deliveries
from tests.amounts import amount
from tests.factories import metric
from tests.portal import Portal
from tests.servers import wait_until

#: A browser.
pytestmark = pytest.mark.full


LEASE = dt.timedelta(seconds=60)
HOUR = dt.timedelta(hours=1)
PATH = "/v1/dead-letters"
PAGE = "/app/ops/dead-letters"
#: 10,000 letters in all, or 200. The page counts the causes of the latest 5,000.
CAUSES = {
    DeadLetterReason.REFUSED: (amount(60, 6_000), "Metric is not valid."),
    DeadLetterReason.POISON: (amount(20, 1_000), "The worker ended."),
    DeadLetterReason.EXPIRED: (amount(120, 3_000), "Upstream was away."),
}
#: The page behind a dialog has buttons of the same names.
DIALOG = "[...document.querySelectorAll('[role=dialog]')].find((each) => each.checkVisibility())"
#: A step that JavaScript rounds.
LARGEST = 2**63 - 1


def bury(portal: Portal, client: str, reason: DeadLetterReason, count: int, message: str, first: int = 0) -> None:
    """Make this many writes of a new run dead letters of a client."""
    run_id = portal.bridge.create_run()
    connection = connect(portal.bridge.store_url, timeout=LEASE, connections=2)
    outbox = RedisOutbox(connection, retention=HOUR, idempotency_ttl=HOUR)
    dead_lettering = DeadLettering(reason=reason, message=message)
    with no_deliveries(portal.bridge):
        offers = [Offer(write=metric(step, run_id=run_id), client=client) for step in range(first, first + count)]
        assert all(isinstance(verdict, Accepted) for verdict in outbox.accept_all(offers))
        claim, buried = outbox.claim(run_id, lease=LEASE), 0
        while claim and claim.jobs:
            buried += len(claim.jobs)
            settlement = Settlement(count=len(claim.jobs), attempts=1, dead_lettering=dead_lettering)
            claim = outbox.settle(claim, settlement, lease=LEASE)
    assert buried == count
    disconnect(connection, in_use=True)


def asked(portal: Portal, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the bridge answers to an operator."""
    answer = portal.bridge.http.request(method, portal.bridge.url + path, json=body, timeout=30)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def count_of(portal: Portal, wanted: dict[str, str]) -> int:
    return int(asked(portal, "POST", f"{PATH}/replay", {"filter": wanted, "dry_run": True})["count"])


def click_in_dialog(portal: Portal, label: str) -> None:
    """Click on a button of the open dialog as soon as it is on."""
    button = f"[...({DIALOG})?.querySelectorAll('button') ?? []].find((each) => each.innerText.trim() == {label!r})"
    portal.browser.eventually(f"({button})?.disabled === false && ({button}).getAttribute('aria-disabled') !== 'true'")
    portal.browser.run(f"({button}).click()")


def follow(portal: Portal, beginning: str) -> None:
    """Follow the link with a name that begins so."""
    link = f"""document.querySelector('a[aria-label^="{beginning}"]')"""
    portal.browser.eventually(link)
    portal.browser.run(f"{link}.click()")


def test_one_cause_is_replayed_at_a_rate_that_is_changed_and_then_cancelled(shared_portal: Portal) -> None:
    for reason, (count, message) in CAUSES.items():
        bury(shared_portal, "of-three-causes", reason, count, message)
    all_letters, expired = sum(count for count, _ in CAUSES.values()), CAUSES[DeadLetterReason.EXPIRED][0]

    shared_portal.sign_in(shared_portal.key_of("drainer", "--admin"), f"{PAGE}?client=of-three-causes")
    shared_portal.shows(f"({all_letters:,})")
    shared_portal.browser.eventually("document.querySelectorAll('.causes li').length == 3")
    follow(shared_portal, f"these: {expired} letters")
    shared_portal.shows(f"Replay all {expired:,}…")
    assert "reason=expired" in shared_portal.place()

    shared_portal.click(f"Replay all {expired:,}…")
    shared_portal.shows(f"{expired:,} letters match")
    shared_portal.shows("mlflow-bridge dead-letters replay --reason expired --op log-metric --client of-three-causes")
    shared_portal.browser.enter("[role=dialog] input[name=rate]", str(expired // 60))
    shared_portal.shows("Takes about 60 seconds.")
    click_in_dialog(shared_portal, f"Replay {expired:,} letters")
    shared_portal.shows("The replay is ordered")
    [drain] = asked(shared_portal, "GET", f"{PATH}/drains?state=running")["drains"]
    click_in_dialog(shared_portal, "Change the rate")
    shared_portal.browser.enter("[role=dialog] input[name=rate]", str(expired // 30))
    click_in_dialog(shared_portal, "Set")
    shared_portal.shows(f"{expired // 30} a second")
    click_in_dialog(shared_portal, "Cancel the rest")
    shared_portal.shows("What is done stays done.")

    def ended_drain() -> Any:
        return asked(shared_portal, "GET", f"{PATH}/drains/{drain['drain_id']}")

    # The worker ends what it has begun.
    wait_until(lambda: count_of(shared_portal, {"client": "of-three-causes"}) == all_letters - ended_drain()["done"])
    ended = ended_drain()
    assert (ended["state"], ended["rate"], ended["total"]) == ("cancelled", expired / 30, expired)
    assert ended["ordered_by"] == "drainer"
    assert ended["done"] < expired
    shared_portal.browser.open(f"{shared_portal.url}/app/ops/drains?state=cancelled")
    shared_portal.shows(f"Replay: {ended['done']:,} of {expired:,} letters. What is done stays done.")


def test_all_pages_of_a_list_are_saved_as_a_csv_file(shared_portal: Portal, tmp_path: Path) -> None:
    # The page shows 50 at a time.
    bury(shared_portal, "saved", DeadLetterReason.POISON, 70, "The worker ended.")
    bury(shared_portal, "not-saved", DeadLetterReason.POISON, 1, "The worker ended.")
    shared_portal.sign_in(shared_portal.key_of("saver", "--admin"), f"{PAGE}?client=saved")
    shared_portal.browser.save_files_in(tmp_path)
    file = tmp_path / "dead-letters.csv"

    shared_portal.browser.click('button[aria-label="CSV: dead-letters.csv"]')

    wait_until(file.exists)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["client"], row["reason"]) for row in rows] == [("saved", "poison")] * 70


def test_another_filter_or_order_leaves_one_list(shared_portal: Portal) -> None:
    bury(shared_portal, "listed-once", DeadLetterReason.POISON, 3, "The worker ended.")
    bury(shared_portal, "listed-once", DeadLetterReason.EXPIRED, 2, "Upstream was away.")
    shared_portal.sign_in(shared_portal.key_of("lister", "--admin"), f"{PAGE}?client=listed-once")
    lists = "[...document.querySelectorAll('.letters-list h2')].map((each) => each.innerText).join()"
    shared_portal.browser.eventually(f"{lists} === 'Letters (5 shown)'")

    shared_portal.click("these")
    shared_portal.browser.eventually(f"/^Letters .[23] shown.$/.test({lists})")
    shared_portal.click("Clear filters")

    shared_portal.browser.eventually(f"/^Letters .\\d+ shown.$/.test({lists})")


def test_a_discard_is_asked_for_again_when_the_count_has_changed_meanwhile(shared_portal: Portal) -> None:
    bury(shared_portal, "counted", DeadLetterReason.REFUSED, 30, "Metric is not valid.")
    shared_portal.sign_in(shared_portal.key_of("discarder", "--admin"), f"{PAGE}?client=counted&order=oldest")

    shared_portal.click("Discard all 30…")
    shared_portal.shows("Type 30 to confirm")
    shared_portal.browser.enter("input[name=count]", "30")
    [letter] = asked(shared_portal, "GET", f"{PATH}?client=counted&limit=1")["letters"]
    asked(shared_portal, "DELETE", f"{PATH}/{letter['letter_id']}")
    click_in_dialog(shared_portal, "Discard 30 letters")

    shared_portal.shows("The number has changed meanwhile")
    shared_portal.shows("It was 30 when you were asked, and is 29 now. Nothing was done.")
    assert count_of(shared_portal, {"client": "counted"}) == 29
    assert shared_portal.browser.run("return document.querySelector('input[name=count]').value") == ""
    shared_portal.browser.enter("input[name=count]", "29")
    click_in_dialog(shared_portal, "Discard 29 letters")
    shared_portal.shows("Discard: 29 of 29 letters.")
    shared_portal.shows("Finished")
    assert count_of(shared_portal, {"client": "counted"}) == 0
    click_in_dialog(shared_portal, "Close")
    shared_portal.shows("Nothing matches: client counted.")


def test_one_letter_shows_its_write_as_it_was_sent_and_is_replayed_without_a_dialog(shared_portal: Portal) -> None:
    bury(shared_portal, "exact", DeadLetterReason.EXPIRED, 1, "Upstream was away.", first=LARGEST)
    [letter] = asked(shared_portal, "GET", f"{PATH}?client=exact")["letters"]
    shared_portal.sign_in(
        shared_portal.key_of("reader-of-one", "--admin"), f"{PAGE}/{letter['letter_id']}?client=exact"
    )

    shared_portal.shows(f'"step": {LARGEST}')
    shared_portal.shows("Expired: it waited longer than the bridge keeps trying")
    shared_portal.shows("A replay overwrites nothing newer.")
    shared_portal.click("Replay")
    shared_portal.shows("Replayed: it is job")

    wait_until(lambda: [point["step"] for point in shared_portal.bridge.history(letter["run_id"], "m")] == [LARGEST])
    assert count_of(shared_portal, {"client": "exact"}) == 0
    shared_portal.shows("Nothing matches: client exact.")


def test_selected_letters_are_discarded_by_their_ids(shared_portal: Portal) -> None:
    bury(shared_portal, "selected", DeadLetterReason.POISON, 3, "The worker ended.")
    shared_portal.sign_in(shared_portal.key_of("chooser", "--admin"), f"{PAGE}?client=selected")
    boxes = "document.querySelectorAll('input[type=checkbox][aria-label^=Select]')"
    shared_portal.browser.eventually(f"{boxes}.length >= 3")

    shared_portal.browser.run(
        f"const boxes = {boxes}; boxes[boxes.length - 1].click(); boxes[boxes.length - 2].click()"
    )
    shared_portal.click("Discard 2")
    shared_portal.shows("This cannot be undone.")
    click_in_dialog(shared_portal, "Discard 2")

    shared_portal.shows("Discarded 2 letters.")
    assert count_of(shared_portal, {"client": "selected"}) == 1


def test_a_viewer_sees_its_letters_and_can_not_act(shared_portal: Portal) -> None:
    key = shared_portal.key_of("viewer", "--read-only", "--allow", "GetDeadLetter", "--allow", "GetBacklog")
    bury(shared_portal, "viewer", DeadLetterReason.EXPIRED, 2, "Upstream was away.")
    [letter, _] = asked(shared_portal, "GET", f"{PATH}?client=viewer")["letters"]

    shared_portal.sign_in(key, f"{PAGE}/{letter['letter_id']}")
    shared_portal.shows("as it was sent")
    off = """[...document.querySelectorAll('button')]
        .filter((each) => /^(Replay|Discard)/.test(each.innerText.trim()))
        .map((each) => [each.innerText.trim(), each.getAttribute('aria-disabled')])"""
    shared_portal.browser.eventually(f"({off}).length >= 6")
    buttons = shared_portal.browser.run(f"return {off}")
    assert {state for _, state in buttons} == {"true"}
    shared_portal.browser.run(
        "[...document.querySelectorAll('button')].find((each) => each.innerText.trim() == 'Replay').focus()"
    )
    shared_portal.shows("mlflow-bridge keys update viewer --allow ReplayDeadLetter")

    done = "return fetch({!r}, {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {!r}}})"
    calls = {
        f"{PATH}/{letter['letter_id']}/replay": "",
        f"{PATH}/replay": '{"filter": {}}',
        f"{PATH}/discard": json.dumps({"letter_ids": [letter["letter_id"]]}),
    }
    statuses = [
        shared_portal.browser.run(done.format(path, body) + ".then((answer) => answer.status)")
        for path, body in calls.items()
    ]
    assert statuses == [403] * 3
    assert count_of(shared_portal, {"client": "viewer"}) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_of_records_has_a_barrier(shared_portal: Portal, theme: str) -> None:
    bury(shared_portal, f"barrier-{theme}", DeadLetterReason.EXPIRED, 3, "Upstream was away.")
    [letter, *_] = asked(shared_portal, "GET", f"{PATH}?client=barrier-{theme}")["letters"]
    shared_portal.start_signed_out()
    shared_portal.choose_theme(theme)
    shared_portal.sign_in(shared_portal.key_of(f"looker-{theme}", "--admin"), PAGE)
    shared_portal.browser.run(f"localStorage.setItem('mlflow-bridge-theme', {theme!r})")
    found = {}
    for page in (PAGE, f"{PAGE}/{letter['letter_id']}", "/app/ops/drains"):
        shared_portal.browser.open(shared_portal.url + page)
        shared_portal.browser.eventually("document.querySelector('main table tbody tr')")
        found[page] = shared_portal.accessibility_violations()

    assert {page: violations for page, violations in found.items() if violations} == {}
