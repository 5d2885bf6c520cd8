# SPDX-License-Identifier: Apache-2.0
"""Clients over HTTP: what is shown of them, who may change them, and what no change takes away."""

import csv
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Quota, Scope
from tests.asgi_client import client_of
from tests.factories import accept_one, metric
from tests.integration.test_api_access import LATER, LOG_METRIC, METRIC, ask, bury_all, key_for

READER = {"scopes": ["read"]}


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys", "BRIDGE_QUOTA_REQUESTS": "1000"}))


@pytest.fixture
def http(guarded: Api) -> Iterator[Http]:
    with client_of(guarded) as client:
        yield client


@pytest.fixture
def admin(guarded: Api) -> str:
    return key_for(guarded, "ops", scopes=(Scope.ADMIN,))


def put(http: Http, key: str, name: str, body: dict[str, Any], **conditions: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {key}"}
    headers |= {name.replace("_", "-"): value for name, value in conditions.items()}
    return http.put(f"/v1/clients/{name}", json=body, headers=headers)


def etag_of(http: Http, key: str, name: str) -> str:
    return str(ask(http, key, "GET", f"/v1/clients/{name}").get_json()["etag"])


def test_a_client_is_shown_with_what_it_may_do_and_its_use(http: Http, guarded: Api, admin: str) -> None:
    key = key_for(guarded, "nightly", allow=("DeleteRun",), quota=Quota(writes=10), experiments=frozenset({"7", "3"}))
    guarded.api_keys.put_client(Client(name="writer"))
    accept_one(guarded.outbox, metric(1), client="nightly")
    bury_all(guarded)
    accept_one(guarded.outbox, metric(2), client="nightly")
    assert ask(http, key, "GET", "/v1/keys/mine").status_code == 200

    shown = ask(http, admin, "GET", "/v1/clients/nightly")

    document = shown.get_json()
    assert (document["kind"], document["scopes"], document["allow"]) == ("key", ["write", "read"], ["DeleteRun"])
    assert document["experiments"] == ["3", "7"]
    assert document["quota"].items() >= {"requests": None, "writes": 10.0, "bytes": None, "pending": None}.items()
    assert (document["keys"], document["dead_letters"]) == (1, 1)
    assert document["pending_bytes"] > 0
    assert document["last_seen_at"]
    assert set(document["levels"]) == {"requests", "writes"}
    assert all(0 <= level <= 1 for level in document["levels"].values())
    assert shown.headers["ETag"] == document["etag"]


def test_the_etag_lasts_while_only_the_use_changes(http: Http, guarded: Api, admin: str) -> None:
    key_for(guarded, "nightly")
    before = etag_of(http, admin, "nightly")
    accept_one(guarded.outbox, metric(2), client="nightly")

    assert etag_of(http, admin, "nightly") == before


@pytest.mark.parametrize("path", ["/v1/clients", "/v1/keys?client=nightly", "/v1/actions", "/v1/audit?client=nightly"])
def test_what_is_polled_is_sent_once(http: Http, guarded: Api, admin: str, path: str) -> None:
    guarded.api_keys.put_client(Client(name="nightly"))
    # The first request of the operator is the last use of its key.
    ask(http, admin, "GET", path)
    etag = ask(http, admin, "GET", path).headers["ETag"]

    again = http.get(path, headers={"Authorization": f"Bearer {admin}", "If-None-Match": etag})

    assert (again.status_code, again.data) == (304, b"")


def test_clients_are_listed_in_pages_by_name(http: Http, guarded: Api, admin: str) -> None:
    for name in ("b", "a", "oidc:anna", "alb:x"):
        guarded.api_keys.put_client(Client(name=name))

    first = ask(http, admin, "GET", "/v1/clients?limit=3").get_json()
    second = ask(http, admin, "GET", f"/v1/clients?limit=3&cursor={first['next']}").get_json()

    listed = [(each["name"], each["kind"]) for each in first["clients"] + second["clients"]]
    assert listed == [("a", "key"), ("alb:x", "alb"), ("b", "key"), ("oidc:anna", "oidc"), ("ops", "key")]
    assert second["next"] is None


def test_clients_and_the_audit_are_listed_as_csv(http: Http, guarded: Api, admin: str) -> None:
    for name in ("a", "b"):
        guarded.api_keys.put_client(Client(name=name))
    headers = {"Authorization": f"Bearer {admin}", "Accept": "text/csv"}

    clients, audit = (http.get(path, headers=headers) for path in ("/v1/clients?limit=1", "/v1/audit"))

    assert (clients.status_code, audit.status_code) == (200, 200)
    assert [row["name"] for row in csv.DictReader(clients.get_data(as_text=True).splitlines())] == ["a", "b", "ops"]
    assert "request_id" in audit.get_data(as_text=True).splitlines()[0]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "order=newest"])
def test_a_query_of_something_else_is_refused(http: Http, admin: str, query: str) -> None:
    assert ask(http, admin, "GET", f"/v1/clients?{query}").status_code == 400


def test_a_client_is_made_changed_and_deleted(http: Http, guarded: Api, admin: str) -> None:
    body = {
        "scopes": ["read", "write"],
        "allow": ["DeleteRun"],
        "deny": ["SetTag"],
        "experiments": ["7"],
        "quota": {"requests": 5, "pending": 1000},
    }

    made = put(http, admin, "nightly", body, If_None_Match="*")
    assert made.status_code == 201, made.data
    assert guarded.api_keys.client("nightly") == Client(
        name="nightly",
        allow=("DeleteRun",),
        deny=("SetTag",),
        experiments=frozenset({"7"}),
        quota=Quota(requests=5, pending=1000),
    )
    changed = put(http, admin, "nightly", READER, If_Match=made.headers["ETag"])
    assert (changed.status_code, changed.get_json()["etag"]) == (200, changed.headers["ETag"])
    assert guarded.api_keys.client("nightly") == Client(name="nightly", scopes=(Scope.READ,))
    assert ask(http, admin, "DELETE", "/v1/clients/nightly").status_code == 204
    assert ask(http, admin, "GET", "/v1/clients/nightly").status_code == 404
    assert ask(http, admin, "DELETE", "/v1/clients/nightly").status_code == 404


def test_a_change_names_the_version_that_it_changes(http: Http, guarded: Api, admin: str) -> None:
    key_for(guarded, "nightly")
    stale = etag_of(http, admin, "nightly")
    guarded.api_keys.put_client(Client(name="nightly", allow=("DeleteRun",)))
    headers = {"Authorization": f"Bearer {admin}", "If-Match": stale}

    refused = {
        "no version": put(http, admin, "nightly", READER),
        "new without a condition": put(http, admin, "new", READER),
        "stale": put(http, admin, "nightly", READER, If_Match=stale),
        "stale deletion": http.delete("/v1/clients/nightly", headers=headers),
        "is there": put(http, admin, "nightly", READER, If_None_Match="*"),
        "is not there": put(http, admin, "new", READER, If_Match=stale),
    }

    found = {name: (each.status_code, each.get_json()["type"].rpartition(":")[2]) for name, each in refused.items()}
    required, failed = (428, "precondition-required"), (412, "precondition-failed")
    assert found == {
        "no version": required,
        "new without a condition": required,
        "stale": failed,
        "stale deletion": failed,
        "is there": failed,
        "is not there": failed,
    }
    assert guarded.api_keys.client("nightly") == Client(name="nightly", allow=("DeleteRun",))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scopes": ["owner"]},
        {"scopes": [], "allow": ["DeleteEverything"]},
        {"scopes": ["admin"], "experiments": ["7"]},
        {"scopes": [], "experiments": ["../7"]},
        {"scopes": [], "quota": {"requests": -1}},
        {"scopes": [], "quota": {"requests": 1e-300}},
        {"scopes": [], "quota": {"queries": 1}},
        {"scopes": [], "name": "other"},
    ],
)
def test_what_no_client_can_be_is_refused(http: Http, guarded: Api, admin: str, body: dict[str, Any]) -> None:
    assert put(http, admin, "new", body, If_None_Match="*").status_code == 400
    assert guarded.api_keys.client("new") is None


@pytest.mark.parametrize("name", ["anonymous", "unauthenticated", "-x", "a" * 129])
def test_a_name_that_no_client_can_have_is_refused(http: Http, admin: str, name: str) -> None:
    assert put(http, admin, name, READER, If_None_Match="*").status_code == 400


def test_no_one_takes_away_the_last_administrator_nor_its_own_administration(
    http: Http, guarded: Api, admin: str
) -> None:
    version = etag_of(http, admin, "ops")
    [key] = guarded.api_keys.keys_of("ops")
    own = [
        put(http, admin, "ops", READER, If_Match=version),
        put(http, admin, "ops", {"scopes": ["admin"], "deny": ["ManageClients"]}, If_Match=version),
        ask(http, admin, "DELETE", "/v1/clients/ops"),
        ask(http, admin, "DELETE", f"/v1/keys/{key.key_id}"),
    ]
    # Another one that may do as much but is no administrator that could remain.
    desk = key_for(guarded, "desk", scopes=(Scope.ADMIN,), deny=("ManageKeys",))
    last = put(http, desk, "ops", READER, If_Match=version)

    assert [answer.status_code for answer in own] == [409] * 4
    assert "its own" not in last.get_data(as_text=True)
    assert last.status_code in (403, 409)
    assert guarded.api_keys.client("ops") == Client(name="ops", scopes=(Scope.ADMIN,))


def test_two_administrators_that_remove_each_other_at_once_do_not_both_win(http: Http, guarded: Api) -> None:
    for number in range(4):
        names = [f"a{number}", f"b{number}"]
        keys = [key_for(guarded, name, scopes=(Scope.ADMIN,)) for name in names]
        together = threading.Barrier(2)
        removals = [(keys[0], names[1], together), (keys[1], names[0], together)]

        with ThreadPoolExecutor(2) as threads:
            statuses = list(threads.map(lambda removal: _remove(http, *removal), removals))

        assert sorted(statuses) == [204, 409]
        for name in names:
            guarded.api_keys.revoke(client=name)


def _remove(http: Http, key: str, name: str, together: threading.Barrier) -> int:
    together.wait()
    return ask(http, key, "DELETE", f"/v1/clients/{name}").status_code


def test_who_manages_by_name_grants_no_more_than_it_has(http: Http, guarded: Api, admin: str) -> None:
    desk = key_for(guarded, "desk", scopes=(Scope.READ,), allow=("ManageClients", "ManageKeys", "GetClient"))
    key_for(guarded, "reader", scopes=(Scope.READ,))
    limited = key_for(guarded, "team", scopes=(Scope.READ,), allow=("ManageClients",), experiments=frozenset({"7"}))

    granted = {
        "reads": put(http, desk, "new", READER, If_None_Match="*"),
        "writes": put(http, desk, "new2", {"scopes": ["write"]}, If_None_Match="*"),
        "admin": put(http, desk, "new3", {"scopes": ["admin"]}, If_None_Match="*"),
        "itself": put(http, desk, "desk", {"scopes": ["admin"]}, If_Match=etag_of(http, admin, "desk")),
        "an operator's": put(http, desk, "ops", {"scopes": []}, If_Match=etag_of(http, admin, "ops")),
        "an operator's key": ask(http, desk, "POST", "/v1/clients/ops/keys", json={}),
        "a reader's key": ask(http, desk, "POST", "/v1/clients/reader/keys", json={}),
        "an operator's end": ask(http, desk, "DELETE", "/v1/clients/ops"),
        "all experiments": put(http, limited, "new4", READER, If_None_Match="*"),
    }

    assert {name: answer.status_code for name, answer in granted.items()} == {
        "reads": 201,
        "writes": 403,
        "admin": 403,
        "itself": 403,
        "an operator's": 403,
        "an operator's key": 403,
        "a reader's key": 201,
        "an operator's end": 403,
        # Managing clients is not within experiments.
        "all experiments": 403,
    }
    assert granted["admin"].get_json()["type"] == "urn:mlflow-bridge:problem:permission-denied"


@pytest.mark.parametrize(
    ("permissions", "query", "expected"),
    [
        ({}, "action=LogMetric", (True, "scope write")),
        ({"scopes": (Scope.ADMIN,)}, "action=DeleteRun", (True, "scope admin")),
        ({"allow": ("DeleteRun",)}, "action=DeleteRun", (True, "allowed by name")),
        ({"deny": ("LogMetric",)}, "action=LogMetric", (False, "denied by name")),
        ({"scopes": (Scope.READ,)}, "action=LogMetric", (False, "needs the scope write, or to be allowed by name")),
        ({}, "action=ManageKeys", (False, "needs to be allowed by name")),
        ({"experiments": frozenset("7")}, "action=LogMetric", (True, "scope write, within its experiments")),
        (
            {"experiments": frozenset("7")},
            "action=LogMetric&experiment_id=7",
            (True, "scope write, within its experiments"),
        ),
        (
            {"experiments": frozenset("7")},
            "action=LogMetric&experiment_id=8",
            (False, "limited to experiments, 8 is not one of them"),
        ),
        ({}, "action=LogMetric&experiment_id=8", (True, "scope write")),
    ],
)
def test_a_permission_is_explained(
    http: Http, guarded: Api, admin: str, permissions: dict[str, Any], query: str, expected: tuple[bool, str]
) -> None:
    key_for(guarded, "nightly", **permissions)

    answer = ask(http, admin, "GET", f"/v1/clients/nightly/permission?{query}").get_json()

    assert (answer["allowed"], answer["because"]) == expected


def test_an_explanation_says_what_happens(http: Http, guarded: Api, admin: str) -> None:
    key = key_for(guarded, "nightly", deny=("LogMetric",))

    before = ask(http, admin, "GET", "/v1/clients/nightly/permission?action=LogMetric").get_json()
    status = ask(http, key, "POST", LOG_METRIC, json=METRIC).status_code

    assert (before["allowed"], status) == (False, 403)


@pytest.mark.parametrize("path", ["nightly/permission?action=Nothing", "other/permission?action=LogMetric"])
def test_of_what_is_not_there_nothing_is_explained(http: Http, guarded: Api, admin: str, path: str) -> None:
    key_for(guarded, "nightly")

    assert ask(http, admin, "GET", f"/v1/clients/{path}").status_code == 404


def test_all_actions_are_listed(http: Http, admin: str) -> None:
    actions = {each["action"]: each for each in ask(http, admin, "GET", "/v1/actions").get_json()["actions"]}

    assert actions["LogMetric"] == {"action": "LogMetric", "scope": "write", "of": "mlflow"}
    assert actions["DeleteRun"] == {"action": "DeleteRun", "scope": None, "of": "mlflow"}
    assert actions["ManageKeys"] == {"action": "ManageKeys", "scope": None, "of": "bridge"}
    assert actions["GetJob"]["of"] == "bridge"


def test_an_expired_key_is_not_counted(http: Http, guarded: Api, admin: str) -> None:
    key_for(guarded, "nightly", expires_at=LATER)
    guarded.api_keys.expire_others("nightly", "x", at=LATER.replace(year=2000))

    assert ask(http, admin, "GET", "/v1/clients/nightly").get_json()["keys"] == 0
