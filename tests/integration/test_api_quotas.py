# SPDX-License-Identifier: Apache-2.0
"""A client that uses more than its quota is told so and when to come again; others notice nothing."""

import json
import time
from collections.abc import Iterator

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Quota
from tests.asgi_client import client_of
from tests.integration.test_api_access import LOG_METRIC, METRIC, key_for
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

GET_RUN = "/api/2.0/mlflow/runs/get?run_id=1"


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys", "BRIDGE_QUOTA_REQUESTS": "1000"}))


@pytest.fixture
def http(guarded: Api, front: SignatureFront) -> Iterator[Http]:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b"{}"))
    with client_of(guarded) as client:
        yield client


def log(http: Http, key: str) -> TestResponse:
    return http.post(LOG_METRIC, json=METRIC, headers={"Authorization": f"Bearer {key}"})


def bulk(http: Http, key: str, count: int) -> TestResponse:
    writes = [{"op": "log-metric", **METRIC, "step": step} for step in range(count)]
    return http.post("/v1/writes", json={"writes": writes}, headers={"Authorization": f"Bearer {key}"})


def test_beyond_the_quota_of_requests_there_is_429_with_the_time_to_wait(http: Http, guarded: Api) -> None:
    key, other = (key_for(guarded, name, quota=Quota(requests=0.2)) for name in ("greedy", "other"))

    answers = [log(http, key) for _ in range(2)]
    began = time.monotonic()
    answers.append(log(http, key))
    waited = time.monotonic() - began

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert waited > 0.15, "who asks as fast as he is answered is not answered as fast as he asks"
    refused = answers[-1]
    assert refused.json == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "The client 'greedy' has exceeded its limit of 0.2 requests a second. Send it again later.",
    }
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert refused.headers["RateLimit-Policy"] == '"requests";q=2;w=10;qu="requests"'
    assert refused.headers["RateLimit"].startswith('"requests";r=0;t=')
    assert answers[0].headers["RateLimit"] == '"requests";r=1;t=5'
    assert log(http, other).status_code == 200


def test_reads_count_as_requests_and_not_as_writes(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "reader", quota=Quota(requests=1, writes=0.1))

    written = [log(http, key).status_code for _ in range(2)]
    read = http.get(GET_RUN, headers={"Authorization": f"Bearer {key}"})

    assert (written, read.status_code) == ([200, 429], 200)


def test_each_write_of_a_bulk_request_counts(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "bulk", quota=Quota(writes=10))

    first, second = bulk(http, key, 150), bulk(http, key, 1)

    assert (first.status_code, second.status_code) == (202, 429)
    assert second.json is not None
    assert second.json["type"] == "urn:mlflow-bridge:problem:request-limit-exceeded"
    # 50 writes are owed.
    assert 4 <= int(second.headers["Retry-After"]) <= 6


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_the_bytes_of_bodies_count_however_they_come(http: Http, guarded: Api, *, announced: bool) -> None:
    key = key_for(guarded, f"bytes{announced}", quota=Quota(bytes=100))
    body = json.dumps(METRIC | {"key": "k" * 240}).encode() + b" " * 1000
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if not announced:
        headers["Transfer-Encoding"] = "chunked"

    statuses = [http.post(LOG_METRIC, data=body, headers=headers).status_code for _ in range(2)]

    assert statuses == [200, 429]


def test_what_is_turned_away_costs_nothing_and_is_not_stored(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "eager", quota=Quota(requests=0.1))
    log(http, key)

    for _ in range(5):
        log(http, key)

    assert guarded.rate_limits.status(Client(name="eager", quota=Quota(requests=0.1)))[0].full_in <= 10
    assert guarded.outbox.lane_backlog(METRIC["run_id"]).pending == 1  # type: ignore[arg-type] # it is a text


def test_a_client_can_have_less_pending_than_others(http: Http, guarded: Api) -> None:
    key, other = key_for(guarded, "small", quota=Quota(pending=200)), key_for(guarded, "large", quota=Quota(pending=0))

    small = [log(http, key).status_code for _ in range(3)]
    large = [log(http, other).status_code for _ in range(3)]

    assert small[0] == 200
    assert small[-1] == 429
    assert large == [200, 200, 200]


def test_a_length_that_is_only_announced_costs_nothing(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "liar", quota=Quota(bytes=100))
    headers = {"Authorization": f"Bearer {key}", "Content-Length": "18446744073709551613"}

    http.get(GET_RUN, headers=headers)

    assert log(http, key).status_code == 200


def test_what_is_open_stays_open_whoever_has_asked_too_much(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ | {"BRIDGE_AUTH": "keys", "BRIDGE_QUOTA_REQUESTS": "0.1"}))
    with client_of(bridge) as http:
        key = key_for(bridge, "asker")
        refused = [log(http, key).status_code for _ in range(3)]
        statuses = [
            http.get(path, headers=headers).status_code
            for path in ("/docs", "/healthz")
            for headers in ({}, {"Authorization": f"Bearer {key}"})
            for _ in range(5)
        ]

    assert refused == [200, 429, 429]
    assert set(statuses) == {200}


def test_refusals_count(http: Http, guarded: Api) -> None:
    key = key_for(guarded, "denied", quota=Quota(requests=0.3))
    headers = {"Authorization": f"Bearer {key}"}

    assert [http.get("/v1/backlog", headers=headers).status_code for _ in range(5)] == [403, 403, 403, 429, 429]


def test_who_has_no_quota_hears_of_none(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))
    with client_of(bridge) as http:
        answer = log(http, key_for(bridge))

    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
