# SPDX-License-Identifier: Apache-2.0
"""What a client is told about itself: its backlog, its jobs in all runs and its keys."""

from collections.abc import Iterator

import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from schemas.client import Scope
from tests.asgi_client import client_of
from tests.factories import RUN, accept_one, metric
from tests.integration.test_api_access import ask, key_for

OTHER_RUN = "f" * 32


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))


@pytest.fixture
def http(guarded: Api) -> Iterator[Http]:
    with client_of(guarded) as client:
        yield client


def test_a_client_sees_its_own_backlog_and_no_other(http: Http, guarded: Api) -> None:
    key, other = key_for(guarded, "anna"), key_for(guarded, "bob", scopes=())
    accepted = accept_one(guarded.outbox, metric(1), client="anna")

    own, of_other = ask(http, key, "GET", "/v1/backlog/mine"), ask(http, other, "GET", "/v1/backlog/mine")

    document = own.get_json()
    assert (document["writes"], document["lanes"], document["is_complete"]) == (1, 1, True)
    assert document["oldest_accepted_at"].startswith(accepted.accepted_at.isoformat()[:19])
    assert document["upstream"]["delivering"] is True
    assert of_other.get_json()["writes"] == 0


def test_a_backlog_that_has_not_changed_is_not_sent_again(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "anna")
    accept_one(guarded.outbox, metric(1), client="anna")
    headers = {"Authorization": f"Bearer {key}"}
    etag = http.get("/v1/backlog/mine", headers=headers).headers["ETag"]

    again = http.get("/v1/backlog/mine", headers=headers | {"If-None-Match": etag})

    assert (again.status_code, again.data) == (304, b"")


def test_own_pending_jobs_are_listed_in_pages_over_all_runs(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "anna")
    writes = [metric(1), metric(2), metric(3), metric(4, run_id=OTHER_RUN), metric(5, run_id=OTHER_RUN)]
    accepted = {accept_one(guarded.outbox, write, client="anna").job_id for write in writes}
    accept_one(guarded.outbox, metric(6), client="bob")

    found: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = ask(http, key, "GET", f"/v1/jobs?mine=pending&limit=2{query}").get_json()
        found += [job["job_id"] for job in page["jobs"]]
        cursor, pages = page["next"], pages + 1
        assert pages < 10

    assert len(found) == 5
    assert set(found) == accepted


@pytest.mark.parametrize("cursor", ["x", "1", "-1@a", "1e3@a", "@"])
def test_a_cursor_that_was_made_up_is_refused_or_finds_nothing_of_others(http: Http, guarded: Api, cursor: str) -> None:
    accept_one(guarded.outbox, metric(1), client="bob")

    answer = ask(http, key_for(guarded, "anna"), "GET", f"/v1/jobs?mine=pending&cursor={cursor}")

    assert answer.status_code == 400 or answer.get_json()["jobs"] == []


def test_an_operator_s_own_dead_jobs_are_not_everybodys(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "ops", scopes=(Scope.ADMIN,))
    for client, run in (("ops", RUN), ("bob", OTHER_RUN)):
        accept_one(guarded.outbox, metric(1, run_id=run), client=client)
        claim = guarded.outbox.claim(run, lease=guarded.settings.lease)
        assert claim
        letter = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
        guarded.outbox.settle(
            claim, Settlement(count=1, attempts=1, dead_lettering=letter), lease=guarded.settings.lease
        )

    page = ask(http, key, "GET", "/v1/jobs?mine=dead").get_json()

    assert [job["run_id"] for job in page["jobs"]] == [RUN]


def test_a_client_sees_its_own_keys_without_their_secrets(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "anna")
    key_for(guarded, "bob")

    answer = ask(http, key, "GET", "/v1/keys/mine")

    [document] = answer.get_json()["keys"]
    assert document["kind"] == "bearer"
    assert document["last_used_at"]
    assert key not in answer.get_data(as_text=True)
    assert set(document) == {"key_id", "kind", "created_at", "expires_at", "last_used_at"}
