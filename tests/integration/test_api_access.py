# SPDX-License-Identifier: Apache-2.0
"""Who may do what: each call with each kind of identity, and what those who may not are told."""

import base64
import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from api.routes.table import ROUTES
from bridge.auth.api_keys import new_key
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from schemas.client import Client, Scope
from schemas.endpoints import ENDPOINTS, Handling
from tests.asgi_client import client_of
from tests.factories import RUN, accept_one, metric
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

NOW = dt.datetime.now(dt.UTC)
LATER = NOW + dt.timedelta(days=1)
READ_ONLY, WRITE_ONLY = (Scope.READ,), (Scope.WRITE,)
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
METRIC = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}

#: Scopes that hold each of the bridge's own calls, besides an admin's; said here once more, by hand.
OWN = {
    ("POST", "/v1/writes"): "w",
    ("POST", "/v1/runs"): "w",
    ("GET", "/v1/runs/nightly/1"): "r",
    ("GET", "/v1/runs/nightly/1/backlog"): "r",
    ("GET", "/v1/jobs"): "w",
    ("GET", "/v1/jobs/x"): "w",
    ("POST", "/v1/jobs/lookup"): "w",
    ("GET", "/v1/backlog"): "",
    ("GET", "/v1/overview"): "",
    ("GET", "/v1/series"): "",
    ("GET", "/v1/lanes"): "",
    ("GET", "/v1/lanes/x"): "",
    ("POST", "/v1/lanes/x/attempt"): "",
    ("GET", "/v1/workers"): "",
    ("GET", "/metrics"): "",
    ("GET", "/v1/dead-letters"): "w",
    ("GET", "/v1/dead-letters/summary"): "w",
    ("GET", "/v1/dead-letters/x"): "w",
    ("GET", "/v1/dead-letters/x/conflicts"): "w",
    ("POST", "/v1/dead-letters/x/replay"): "w",
    ("DELETE", "/v1/dead-letters/x"): "",
    ("POST", "/v1/dead-letters/replay"): "",
    ("POST", "/v1/dead-letters/discard"): "",
    ("GET", "/v1/dead-letters/drains"): "",
    ("GET", "/v1/dead-letters/drains/x"): "",
    ("PATCH", "/v1/dead-letters/drains/x"): "",
    ("DELETE", "/v1/dead-letters/drains/x"): "",
    ("GET", "/v1/sessions"): "",
    ("DELETE", "/v1/sessions/x"): "",
    ("GET", "/v1/upstreams"): "",
    ("GET", "/v1/upstreams/x/failures"): "",
    ("POST", "/v1/upstreams/x/probe"): "",
    ("PUT", "/v1/upstreams/x/pause"): "",
    ("GET", "/v1/clients"): "",
    ("GET", "/v1/clients/x"): "",
    ("PUT", "/v1/clients/x"): "",
    ("DELETE", "/v1/clients/x"): "",
    ("GET", "/v1/clients/x/permission"): "",
    ("GET", "/v1/actions"): "",
    ("GET", "/v1/keys"): "",
    ("POST", "/v1/clients/x/keys"): "",
    ("POST", "/v1/keys/x/rotate"): "",
    ("DELETE", "/v1/keys/x"): "",
    ("GET", "/v1/audit"): "",
    ("GET", "/v1/usage"): "",
    # About the client itself, whatever it may do.
    ("GET", "/v1/backlog/mine"): "wrn",
    ("GET", "/v1/keys/mine"): "wrn",
    ("GET", "/v1/usage/mine"): "wrn",
}


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))


@pytest.fixture
def http(guarded: Api, front: SignatureFront) -> Iterator[Http]:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b"{}"))
    with client_of(guarded) as client:
        yield client


def key_for(bridge: Api, name: str = "c", *, expires_at: dt.datetime | None = None, **permissions: Any) -> str:
    """A new key of a client who may do this."""
    bridge.api_keys.put_client(Client(name=name, **permissions))
    key = new_key()
    bridge.api_keys.add_key(name, key, now=NOW, expires_at=expires_at)
    return key.text


def ask(http: Http, key: str | None, method: str, path: str, **options: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return http.open(path, method=method, headers=headers, **options)


def filled(path: str) -> str:
    """A path with something in the place of each part that varies."""
    return path.replace("{", "").replace("}", "")


def test_every_call_of_mlflows_is_for_those_who_may(http: Http, guarded: Api) -> None:
    keys = {
        "w": key_for(guarded, "writer", scopes=WRITE_ONLY),
        "r": key_for(guarded, "reader", scopes=READ_ONLY),
        "": key_for(guarded, "nobody", scopes=()),
        "admin": key_for(guarded, "operator", scopes=(Scope.ADMIN,)),
        "denied": key_for(guarded, "denied", scopes=(Scope.ADMIN,), deny=tuple({each.action for each in ENDPOINTS})),
    }
    for endpoint in ENDPOINTS:
        holder = {"write": "w", "read": "r", "-": None}[endpoint.grant]
        for path in endpoint.paths:
            for identity, key in keys.items():
                answer = ask(http, key, endpoint.method, filled(path))
                told = answer.get_data(as_text=True)
                may = identity in ("admin", holder)
                if may and endpoint.answer is not Handling.REFUSED:
                    assert answer.status_code not in (401, 403), (endpoint, identity, told)
                else:
                    assert answer.status_code == 403, (endpoint, identity, told)
                    assert may or f"may not {endpoint.action};" in told, (endpoint, identity, told)


@pytest.mark.parametrize(("method", "path"), OWN)
def test_every_call_of_our_own_is_for_those_who_may(http: Http, guarded: Api, method: str, path: str) -> None:
    holders = OWN[method, path]
    identities = {"w": WRITE_ONLY, "r": READ_ONLY, "n": (), "a": (Scope.ADMIN,)}
    for identity, scopes in identities.items():
        answer = ask(http, key_for(guarded, f"c{identity}", scopes=scopes), method, path)
        assert (answer.status_code == 403) == (identity not in f"{holders}a"), (identity, answer.data)
        assert answer.status_code != 401


def test_each_call_of_our_own_is_in_this_table() -> None:
    assert len(OWN) == len([route for route in ROUTES if not route.is_open])


@pytest.mark.parametrize("path", [LOG_METRIC, "/", "/v1/jobs/x", "/v1/nothing", "/nowhere", "/metrics", "/v1/traces"])
@pytest.mark.parametrize("key", [None, "", "wrong", "mbk_aaaaaaaaaa_" + "x" * 43])
def test_strangers_are_told_nothing_but_to_say_who_they_are(http: Http, path: str, key: str | None) -> None:
    answers = [ask(http, key, method, path) for method in ("GET", "POST", "DELETE", "BREW")]

    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].headers.getlist("WWW-Authenticate") == ['Basic realm="mlflow-bridge", charset="UTF-8"', "Bearer"]


@pytest.mark.parametrize(
    "path", sorted({route.path for route in ROUTES if route.is_open and not route.path.startswith("/app")})
)
def test_what_is_open_is_open_and_tells_strangers_little(http: Http, guarded: Api, path: str) -> None:
    answer = http.get(path)
    admin = ask(http, key_for(guarded, scopes=(Scope.ADMIN,)), "GET", path)

    assert answer.status_code in (200, 503)
    assert path != "/readyz" or (set(answer.get_json()), "store" in admin.get_json()) == ({"status"}, True)


@pytest.mark.parametrize("way", ["bearer", "basic", "x-api-key"])
def test_a_key_may_come_in_each_way_that_clients_send_it(http: Http, guarded: Api, way: str) -> None:
    key = key_for(guarded)
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    headers = {
        "bearer": {"Authorization": f"bearer {key}"},
        "basic": {"Authorization": f"Basic {basic}"},
        "x-api-key": {"X-Api-Key": key},
    }[way]

    assert http.post(LOG_METRIC, json=METRIC, headers=headers).status_code == 200


def test_a_key_that_has_ended_is_nobodys(http: Http, guarded: Api) -> None:
    expired = key_for(guarded, expires_at=NOW - dt.timedelta(seconds=1))
    live = key_for(guarded, expires_at=LATER)

    assert ask(http, expired, "GET", "/v1/backlog").status_code == 401
    assert ask(http, live, "POST", LOG_METRIC, json=METRIC).status_code == 200
    assert ask(http, live[:-1] + ("a" if live[-1] != "a" else "b"), "POST", LOG_METRIC, json=METRIC).status_code == 401
    guarded.api_keys.revoke(client="c")
    with client_of(guarded) as anew:
        assert ask(anew, live, "POST", LOG_METRIC, json=METRIC).status_code == 401


def guesses(http: Http, count: int = 25) -> list[int]:
    return [ask(http, f"mbk_aaaaaaaaaa_{number:043}", "GET", "/").status_code for number in range(count)]


def test_who_guesses_has_to_wait(http: Http, guarded: Api) -> None:
    key = key_for(guarded)

    assert guesses(http) == [401] * 20 + [429] * 5
    assert ask(http, key, "GET", "/").status_code == 429, "it is not looked whether the next is right"
    assert ask(http, key, "GET", "/healthz").status_code == 200


def test_many_guesses_at_once_are_as_many(http: Http) -> None:
    with ThreadPoolExecutor(16) as at_once:
        statuses = list(at_once.map(lambda number: ask(http, f"mbk_a{number:09}_{'x' * 43}", "GET", "/"), range(64)))

    assert sum(answer.status_code == 401 for answer in statuses) <= 20


def test_a_client_may_begin_with_many_requests_at_once(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "cold")
    with ThreadPoolExecutor(32) as at_once:
        statuses = {answer.status_code for answer in at_once.map(lambda _: ask(http, key, "GET", "/"), range(96))}

    assert statuses == {200}


def test_who_was_known_is_not_shut_out_by_guesses_from_its_address(http: Http, guarded: Api) -> None:
    key = key_for(guarded)
    assert ask(http, key, "POST", LOG_METRIC, json=METRIC).status_code == 200
    guesses(http)
    # What was remembered of the key has ended.
    front: Any = http.application.app  # type: ignore[attr-defined] # the adapter to WSGI that the client asks through
    front.admission.authentication._results.clear()  # noqa: SLF001 - what five seconds do, without waiting for them

    assert ask(http, key, "POST", LOG_METRIC, json=METRIC).status_code == 200


def test_who_says_nothing_of_himself_has_not_tried_to_log_in(http: Http, guarded: Api) -> None:
    statuses = [http.get(path).status_code for path in ("/healthz", "/", "/readyz") for _ in range(15)]

    assert set(statuses) == {200, 401}
    assert ask(http, key_for(guarded), "POST", LOG_METRIC, json=METRIC).status_code == 200


@pytest.mark.parametrize("suffix", ["%0A", "%0D", "%00", "/more", "%0A/x"])
@pytest.mark.parametrize("path", ["config", "message", "skills/install"])
def test_no_spelling_leads_to_the_assistant(http: Http, guarded: Api, path: str, suffix: str) -> None:
    key = key_for(guarded, scopes=(Scope.ADMIN,))
    for method in ("GET", "POST", "PUT"):
        answer = ask(http, key, method, f"/ajax-api/3.0/mlflow/assistant/{path}{suffix}", json={})
        assert answer.status_code in (400, 403)


def test_a_key_counts_beside_an_authorization_of_another_kind(http: Http, guarded: Api) -> None:
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=x", "X-Api-Key": key_for(guarded)}

    assert http.post(LOG_METRIC, json=METRIC, headers=headers).status_code == 200


def test_who_may_drain_without_being_an_operator_drains_his_own(http: Http, guarded: Api) -> None:
    accept_one(guarded.outbox, metric(1), client="other")
    bury_all(guarded)
    key = key_for(guarded, "cleaner", scopes=(), allow=("DrainDeadLetters",))

    counted = ask(http, key, "POST", "/v1/dead-letters/discard", json={"dry_run": True})

    assert counted.get_json() == {"count": 0}


def test_who_may_no_longer_make_a_write_may_not_replay_it(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "mine")
    ask(http, key, "POST", LOG_METRIC, json=METRIC)
    bury_all(guarded)
    [letter] = ask(http, key, "GET", "/v1/dead-letters").get_json()["letters"]
    guarded.api_keys.put_client(Client(name="mine", deny=("LogMetric",)))
    with client_of(guarded) as anew:
        answer = ask(anew, key, "POST", f"/v1/dead-letters/{letter['letter_id']}/replay")

    assert (answer.status_code, "may not LogMetric" in answer.get_json()["detail"]) == (403, True)


def test_a_client_sees_its_own_jobs_and_dead_letters_and_an_operator_sees_all(http: Http, guarded: Api) -> None:
    mine, other = key_for(guarded, "mine"), key_for(guarded, "other")
    admin = key_for(guarded, "admin", scopes=(Scope.ADMIN,))
    job = ask(http, mine, "POST", LOG_METRIC, json=METRIC).headers["Job-Id"]
    accept_one(guarded.outbox, metric(2), client="other")
    assert ask(http, mine, "GET", f"/v1/jobs/{job}").status_code == 200
    assert ask(http, other, "GET", f"/v1/jobs/{job}").status_code == 404
    assert ask(http, admin, "GET", f"/v1/jobs/{job}").get_json()["status"] == "pending"
    assert [jobs(http, key, "pending") for key in (mine, other, admin)] == [1, 1, 2]
    bury_all(guarded)
    assert ask(http, admin, "GET", f"/v1/jobs/{job}").get_json()["status"] == "dead"
    assert [jobs(http, key, "dead") for key in (mine, other, admin)] == [1, 1, 2]
    found = ask(http, admin, "POST", "/v1/jobs/lookup", json={"job_ids": [job, job[:-4] + "AAA", "A" * 60]}).get_json()
    assert [each and each["status"] for each in found["jobs"]][::2] == ["dead", None]

    def listed(key: str) -> list[str]:
        return [letter["client"] for letter in ask(http, key, "GET", "/v1/dead-letters").get_json()["letters"]]

    assert (listed(mine), listed(other), listed(admin)) == (["mine"], ["other"], ["mine", "other"])
    [letter] = ask(http, mine, "GET", "/v1/dead-letters").get_json()["letters"]
    path = f"/v1/dead-letters/{letter['letter_id']}"
    assert ask(http, other, "GET", path).status_code == 404
    assert ask(http, other, "POST", f"{path}/replay").status_code == 404
    assert ask(http, mine, "GET", "/v1/dead-letters?client=other").get_json()["letters"][0]["client"] == "mine"
    assert ask(http, mine, "POST", f"{path}/replay").status_code == 202


def jobs(http: Http, key: str, status: str) -> int:
    """How many jobs of the run are listed for who has the key."""
    return len(ask(http, key, "GET", f"/v1/jobs?run_id={RUN}&status={status}").get_json()["jobs"])


def bury_all(bridge: Api) -> None:
    claim = bridge.outbox.claim(RUN, lease=dt.timedelta(seconds=30))
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
    bridge.outbox.settle(
        claim, Settlement(count=len(claim.jobs), dead_lettering=dead_lettering), lease=dt.timedelta(seconds=30)
    )


def test_each_write_of_many_is_for_those_who_may_make_it(http: Http, guarded: Api) -> None:
    logger, deleter = key_for(guarded, "a"), key_for(guarded, "b", allow=("DeleteTag",))
    writes = [{"op": "log-metric", **METRIC}, {"op": "delete-tag", "run_id": RUN, "key": "t"}]

    refused = ask(http, logger, "POST", "/v1/writes", json={"writes": writes})
    taken = ask(http, deleter, "POST", "/v1/writes", json={"writes": writes})

    assert (refused.status_code, refused.content_type) == (403, "application/problem+json")
    assert "may not DeleteTag" in refused.get_json()["detail"]
    assert taken.status_code == 202
    assert guarded.outbox.lane_backlog(RUN).pending == 2


def test_by_default_a_client_logs_and_reads_and_deletes_nothing(http: Http, guarded: Api) -> None:
    key = key_for(guarded)
    runs = "/api/2.0/mlflow/runs"

    allowed = [("POST", LOG_METRIC), ("POST", f"{runs}/create"), ("GET", f"{runs}/get"), ("GET", "/")]
    refused = [
        *(("POST", f"{runs}/delete"), ("POST", "/api/2.0/mlflow/experiments/delete")),
        *(("POST", "/api/2.0/mlflow/registered-models/create"), ("POST", "/gateway/mlflow/v1/chat/completions")),
        *(("BREW", "/api/9.0/mlflow/whatever"), ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/a")),
    ]

    assert [call for call in allowed if ask(http, key, *call, json=METRIC).status_code == 403] == []
    assert [call for call in refused if ask(http, key, *call, json={}).status_code != 403] == []
