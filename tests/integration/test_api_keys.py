# SPDX-License-Identifier: Apache-2.0
"""Keys over HTTP: a secret is shown once and is nowhere else, and a browser must have signed in not long ago."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.test import Client as Http

from bridge.auth.api_keys import AccessKey
from bridge.auth.sessions import BrowserSession, session_id_of
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.redis_store.outbox import connect
from bridge.redis_store.sessions import RedisSessionStore
from schemas.client import Client, Scope
from tests.asgi_client import client_of
from tests.fakes import Events
from tests.integration.test_api_access import LATER, ask, key_for
from tests.integration.test_portal_sign_in import SESSION, Browser
from tests.log_output import Output, logging_to
from tests.signing_client import signed, signing_client

CIPHER = base64.b64encode(b"k" * 32).decode()
PATIENCE = dt.timedelta(seconds=5)


@pytest.fixture
def environ_with_keys(environ: dict[str, str]) -> dict[str, str]:
    return environ | {
        "BRIDGE_AUTH": "keys,sigv4",
        "BRIDGE_ENCRYPTION_KEYS": CIPHER,
        "BRIDGE_PUBLIC_URL": "https://bridge.example",
    }


@pytest.fixture
def guarded(environ_with_keys: dict[str, str]) -> Api:
    return build_api(read_settings(environ_with_keys))


@pytest.fixture
def http(guarded: Api, tmp_path: Path) -> Iterator[Http]:
    (tmp_path / "index.html").write_text("<!doctype html>")
    with client_of(guarded, console=tmp_path) as client:
        yield client


@pytest.fixture
def admin(guarded: Api) -> str:
    return key_for(guarded, "ops", scopes=(Scope.ADMIN,))


def access_key(answer: Any) -> AccessKey:
    return AccessKey(answer["key_id"], answer["secret"])


def test_a_key_is_made_listed_rotated_and_revoked(http: Http, guarded: Api, admin: str) -> None:
    guarded.api_keys.put_client(Client(name="nightly"))

    made = ask(
        http, admin, "POST", "/v1/clients/nightly/keys", json={"kind": "bearer", "expires_at": LATER.isoformat()}
    )
    first = made.get_json()
    assert made.status_code == 201, made.data
    assert made.headers["Cache-Control"] == "no-store"
    assert ask(http, first["secret"], "GET", "/v1/keys/mine").status_code == 200
    [listed] = ask(http, admin, "GET", "/v1/keys?client=nightly").get_json()["keys"]
    assert (listed["key_id"], listed["kind"], listed["client"]) == (first["key_id"], "bearer", "nightly")
    assert dt.datetime.fromisoformat(listed["expires_at"]) == LATER

    rotated = ask(http, admin, "POST", f"/v1/keys/{first['key_id']}/rotate", json={"overlap": 3600})
    second = rotated.get_json()
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (201, "no-store")
    assert (second["client"], second["kind"], second["expires_at"]) == ("nightly", "bearer", None)
    assert ask(http, second["secret"], "GET", "/v1/keys/mine").status_code == 200
    ends = {each["key_id"]: each["expires_at"] for each in _keys(http, admin)}
    assert dt.datetime.fromisoformat(ends[first["key_id"]]) < dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

    assert ask(http, admin, "POST", "/v1/clients/nightly/keys", json={}).status_code == 409
    assert ask(http, admin, "DELETE", f"/v1/keys/{first['key_id']}").status_code == 204
    assert ask(http, admin, "DELETE", f"/v1/keys/{first['key_id']}").status_code == 404
    assert [each["key_id"] for each in _keys(http, admin)] == [second["key_id"]]


def _keys(http: Http, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(http, key, "GET", "/v1/keys?client=nightly").get_json()["keys"]
    return found


def test_a_key_that_signs_is_made_and_rotated_as_well(http: Http, guarded: Api, admin: str) -> None:
    guarded.api_keys.put_client(Client(name="robot"))

    first = ask(http, admin, "POST", "/v1/clients/robot/keys", json={"kind": "sigv4"}).get_json()
    second = ask(http, admin, "POST", f"/v1/keys/{first['key_id']}/rotate", json={}).get_json()

    assert (first["kind"], second["kind"]) == ("sigv4", "sigv4")
    with signing_client(guarded) as robot:
        for key in (access_key(first), access_key(second)):
            assert robot.send(signed(key, "GET", "/v1/keys/mine")).status == 200
    assert ask(http, admin, "GET", "/v1/clients/robot").get_json()["kind"] == "sigv4"


def test_without_signatures_no_key_that_signs_is_made(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))
    key = key_for(bridge, "ops", scopes=(Scope.ADMIN,))
    with client_of(bridge) as http:
        answer = ask(http, key, "POST", "/v1/clients/ops/keys", json={"kind": "sigv4"})

    assert (answer.status_code, "BRIDGE_AUTH" in answer.get_json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/clients/nobody/keys", {}, 404),
        ("/v1/clients/nightly/keys", {"kind": "password"}, 400),
        ("/v1/clients/nightly/keys", {"expires_at": "2020-01-01T00:00:00Z"}, 400),
        ("/v1/clients/nightly/keys", {"expires_at": "2099-01-01T00:00:00"}, 400),
        ("/v1/clients/nightly/keys", {"secret": "mine"}, 400),
        ("/v1/keys/aaaaaaaaaa/rotate", {}, 404),
        ("/v1/keys/aaaaaaaaaa/rotate", {"overlap": -1}, 400),
    ],
)
def test_what_no_key_can_be_is_refused(
    http: Http, guarded: Api, admin: str, path: str, body: dict[str, Any], status: int
) -> None:
    guarded.api_keys.put_client(Client(name="nightly"))

    assert ask(http, admin, "POST", path, json=body).status_code == status
    assert guarded.api_keys.keys_of("nightly") == []


def _age(environ: dict[str, str], browser: Browser, age: dt.timedelta) -> None:
    """Have a browser signed in that long ago, before its session is looked up for the first time."""
    store = RedisSessionStore(connect(environ["BRIDGE_STORE_URL"], timeout=PATIENCE, connections=1))
    session: BrowserSession | None = store.get(session_id_of(browser.cookies[SESSION]))
    assert session
    aged = msgspec.structs.replace(session, auth_time=session.auth_time - age)
    store.put(aged, ttl=dt.timedelta(hours=1))


CALLS = [
    ("POST", "/v1/clients/nightly/keys"),
    ("POST", "/v1/keys/{key_id}/rotate"),
    ("DELETE", "/v1/keys/{key_id}"),
    ("DELETE", "/v1/clients/nightly"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_recent", [True, False])
def test_what_makes_or_ends_keys_needs_a_recent_sign_in_of_a_browser(
    http: Http,
    guarded: Api,
    admin: str,
    environ: dict[str, str],
    call: tuple[str, str],
    *,
    is_recent: bool,
) -> None:
    method, path = call
    key_for(guarded, "nightly")
    [key] = guarded.api_keys.keys_of("nightly")
    browser = Browser(http)
    browser.sign_in_with(admin)
    _age(environ, browser, dt.timedelta(minutes=14 if is_recent else 16))

    answer = browser.ask(method, path.format(key_id=key.key_id), json={})

    if is_recent:
        assert answer.status_code in (201, 204), answer.data
        return
    problem = answer.get_json()
    assert (answer.status_code, problem["type"]) == (401, "urn:mlflow-bridge:problem:sign-in-again")
    assert "WWW-Authenticate" not in answer.headers
    assert guarded.api_keys.keys_of("nightly") == [key]
    assert browser.ask("GET", "/v1/clients").status_code == 200, "all else goes on"
    browser.sign_in_with(admin)
    assert browser.ask(method, path.format(key_id=key.key_id), json={}).status_code in (201, 204)


def test_a_change_of_permissions_needs_no_recent_sign_in(
    http: Http, guarded: Api, admin: str, environ: dict[str, str]
) -> None:
    key_for(guarded, "nightly")
    browser = Browser(http)
    browser.sign_in_with(admin)
    _age(environ, browser, dt.timedelta(hours=1))
    version = browser.ask("GET", "/v1/clients/nightly").headers["ETag"]

    changed = browser.ask("PUT", "/v1/clients/nightly", json={"scopes": ["read"]}, headers={"If-Match": version})

    assert changed.status_code == 200


@pytest.mark.parametrize("kind", ["bearer", "sigv4"])
def test_a_secret_is_shown_once_and_is_nowhere_else(
    environ_with_keys: dict[str, str], environ: dict[str, str], kind: str
) -> None:
    bridge, events, output = build_api(read_settings(environ_with_keys)), Events(), Output()

    def observe(event: Any) -> None:
        events(event)
        bridge.observe(event)

    admin = key_for(bridge, "ops", scopes=(Scope.ADMIN,))
    bridge.api_keys.put_client(Client(name="nightly"))
    idempotent = {"Authorization": f"Bearer {admin}", "Idempotency-Key": "once"}
    with logging_to(output, "debug"), client_of(replace(bridge, observe=observe)) as http:
        first = http.post("/v1/clients/nightly/keys", json={"kind": kind}, headers=idempotent)
        again = http.post("/v1/clients/nightly/keys", json={"kind": kind}, headers=idempotent)
        third = http.post("/v1/clients/nightly/keys", json={"kind": kind}, headers=idempotent)
        paths = ["/v1/keys", "/v1/clients", "/v1/clients/nightly", "/v1/audit", "/v1/keys/mine", "/metrics"]
        answers = [ask(http, admin, "GET", path) for path in paths]
    # Its end has written all logs and records.
    secrets = [each.get_json()["secret"] for each in (first, again)]
    assert (first.status_code, again.status_code, third.status_code) == (201, 201, 409)
    assert len(set(secrets)) == 2, "a repeat is another key"
    kept = output.getvalue() + repr(events.__dict__) + _everything_in(environ["BRIDGE_STORE_URL"])
    texts = [third.get_data(as_text=True), kept, *(answer.get_data(as_text=True) for answer in answers)]
    for secret in secrets:
        part = secret.split("_", 2)[2] if kind == "bearer" else secret
        assert len(part) == 43
        assert [text for text in texts if part in text] == []
    assert "ManageKeys" in output.getvalue(), "it was logged that there was a request"
    assert all(key_id in kept for key_id in (first.get_json()["key_id"], again.get_json()["key_id"]))


def _everything_in(url: str) -> str:
    """The store's whole content as text."""
    client: Any = connect(url, timeout=PATIENCE, connections=1)
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"set": client.smembers,
        b"stream": client.xrange,
    }
    found = [(key, read[client.type(key)](key)) for key in client.scan_iter()]
    assert found
    return repr(found)


def test_a_signed_request_for_a_key_repeated_gets_no_second_answer(guarded: Api, http: Http, admin: str) -> None:
    guarded.api_keys.put_client(Client(name="robot", scopes=(Scope.ADMIN,)))
    guarded.api_keys.put_client(Client(name="nightly"))
    key = access_key(ask(http, admin, "POST", "/v1/clients/robot/keys", json={"kind": "sigv4"}).get_json())
    body = json.dumps({"kind": "bearer"}).encode()
    request = signed(key, "POST", "/v1/clients/nightly/keys", body)
    with signing_client(guarded) as robot:
        first, again = robot.send(request), robot.send(request)

    secret = json.loads(first.body)["secret"]
    assert (first.status, again.status) == (201, 401)
    assert secret not in again.text
    assert len(guarded.api_keys.keys_of("nightly")) == 1
