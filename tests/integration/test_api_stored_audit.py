# SPDX-License-Identifier: Apache-2.0
"""The audit over HTTP: what was done and denied is found again, and requests never wait for it."""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Scope
from tests.asgi_client import client_of
from tests.integration.test_api_access import LOG_METRIC, METRIC, ask, key_for
from tests.integration.test_portal_sign_in import Browser
from tests.servers import wait_until


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys", "BRIDGE_PUBLIC_URL": "https://bridge.example"}))


@pytest.fixture
def http(guarded: Api) -> Iterator[Http]:
    with client_of(guarded) as client:
        yield client


@pytest.fixture
def admin(guarded: Api) -> str:
    return key_for(guarded, "ops", scopes=(Scope.ADMIN,))


def entries(http: Http, key: str, **wanted: Any) -> list[dict[str, Any]]:
    answer = ask(http, key, "GET", f"/v1/audit?{urlencode(wanted)}")
    assert answer.status_code == 200, answer.data
    found: list[dict[str, Any]] = answer.get_json()["entries"]
    return found


def test_what_was_done_and_denied_is_found_the_newest_first(http: Http, guarded: Api, admin: str) -> None:
    nightly = key_for(guarded, "nightly")
    ask(http, nightly, "POST", LOG_METRIC, json=METRIC)
    ask(http, nightly, "POST", "/v1/jobs/lookup", json={"job_ids": []})
    ask(http, nightly, "POST", "/v1/clients/ops/keys", json={})
    made = ask(http, admin, "POST", "/v1/clients/nightly/keys", json={})
    ask(http, admin, "DELETE", f"/v1/keys/{made.get_json()['key_id']}")
    Browser(http).sign_in_with(nightly)
    http.get("/v1/backlog")
    wait_until(lambda: len(entries(http, admin)) == 5)

    found = {(each["client"], each["action"], each["on"], each["decision"]) for each in entries(http, admin)}
    [signed_in] = entries(http, admin, action="SignIn")

    assert found == {
        ("unauthenticated", None, None, "unauthenticated"),
        ("nightly", "SignIn", signed_in["on"], "allowed"),
        ("ops", "ManageKeys", made.get_json()["key_id"], "allowed"),
        ("ops", "ManageKeys", "nightly", "allowed"),
        ("nightly", "ManageKeys", "ops", "denied"),
    }


def test_each_filter_and_the_cursor_select(http: Http, guarded: Api, admin: str) -> None:
    for number in range(5):
        guarded.api_keys.put_client(Client(name=f"c{number}"))
        headers = {"Authorization": f"Bearer {admin}", "X-Request-Id": f"r{number}"}
        http.delete(f"/v1/clients/c{number}", headers=headers)
    wait_until(lambda: len(entries(http, admin)) == 5)

    [third] = entries(http, admin, request_id="r2")
    assert (third["on"], third["path"], third["method"]) == ("c2", "/v1/clients/c2", "DELETE")
    assert [each["on"] for each in entries(http, admin, until=third["at"])] == ["c1", "c0"]
    assert [each["on"] for each in entries(http, admin, since=third["at"])] == ["c4", "c3", "c2"]
    assert entries(http, admin, client="nightly") == []
    assert len(entries(http, admin, client="ops", action="ManageClients", decision="allowed")) == 5
    first = ask(http, admin, "GET", "/v1/audit?limit=3").get_json()
    rest = entries(http, admin, limit=3, cursor=first["next"])
    assert [each["on"] for each in first["entries"] + rest] == ["c4", "c3", "c2", "c1", "c0"]


@pytest.mark.parametrize(
    "query", ["since=2026-01-01T00:00:00", "decision=maybe", "limit=0", "cursor=x", "order=oldest", "limit=1001"]
)
def test_a_query_of_something_else_is_refused(http: Http, admin: str, query: str) -> None:
    assert ask(http, admin, "GET", f"/v1/audit?{query}").status_code == 400


def test_while_the_store_takes_no_records_requests_are_answered_all_the_same(
    http: Http, guarded: Api, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[dt.datetime] = []

    def fail(_: Any) -> None:
        tried.append(dt.datetime.now(dt.UTC))
        raise RuntimeError("no room")

    monkeypatch.setattr(guarded.clients.audit, "append", fail)
    guarded.api_keys.put_client(Client(name="c"))

    assert ask(http, admin, "DELETE", "/v1/clients/c").status_code == 204
    wait_until(lambda: bool(tried))
    monkeypatch.undo()
    wait_until(lambda: [each["on"] for each in entries(http, admin)] == ["c"], timeout=20)
