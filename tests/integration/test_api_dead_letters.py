# SPDX-License-Identifier: Apache-2.0
"""Dead letters and the backlog over HTTP, before a real Redis."""

import base64
import datetime as dt
import json
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from schemas.job import UpstreamAnswer
from tests.factories import RUN, accept_one, metric

LEASE = dt.timedelta(seconds=30)
PATH = "/v1/dead-letters"
ANSWER = UpstreamAnswer(status=400, error_code="INVALID_PARAMETER_VALUE", message="no")


def dead_letter(api: Api, count: int, *, reason: DeadLetterReason = DeadLetterReason.REFUSED) -> list[str]:
    jobs = [accept_one(api.outbox, metric(step), client="anonymous").job_id for step in range(count)]
    claim = api.outbox.claim(RUN, lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=reason, message="no", answer=ANSWER)
    api.outbox.settle(
        claim, Settlement(count=count, attempts=1, status=400, dead_lettering=dead_lettering), lease=LEASE
    )
    return jobs


def problem(answer: TestResponse) -> str:
    assert answer.content_type == "application/problem+json"
    document = answer.get_json()
    assert document["type"].startswith("urn:mlflow-bridge:problem:")
    assert document["status"] == answer.status_code
    return str(document["detail"])


def status(http: Client, job_id: str) -> str:
    return str(http.get(f"/v1/jobs/{job_id}").get_json()["status"])


def test_a_letter_is_listed_shown_replayed_and_discarded(http: Client, api: Api) -> None:
    first, second = dead_letter(api, 2)

    letters = http.get(PATH).get_json()["letters"]
    shown = http.get(f"{PATH}/{letters[0]['letter_id']}").get_json()
    replayed = http.post(f"{PATH}/{letters[0]['letter_id']}/replay")
    discarded = http.delete(f"{PATH}/{letters[1]['letter_id']}")

    assert [(letter["run_id"], letter["reason"], letter["op"]) for letter in letters] == [
        (RUN, "refused", "log-metric")
    ] * 2
    assert shown["write"]["body"] == json.loads(b'{"run_id":"%s","key":"m","value":0.0,"timestamp":1}' % RUN.encode())
    assert shown["upstream"]["error_code"] == "INVALID_PARAMETER_VALUE"
    assert len(shown["attempts"]) == 1
    assert (replayed.status_code, discarded.status_code) == (202, 204)
    assert replayed.headers["Location"] == f"/v1/jobs/{replayed.get_json()['job_id']}"
    assert (status(http, first), status(http, second)) == ("pending", "discarded")
    assert http.get(PATH).get_json() == {"letters": [], "next": None}


def test_pages_are_linked_by_their_cursor(http: Client, api: Api) -> None:
    dead_letter(api, 5)

    first = http.get(f"{PATH}?limit=3").get_json()
    second = http.get(f"{PATH}?limit=3&cursor={first['next']}").get_json()

    assert (len(first["letters"]), len(second["letters"]), second["next"]) == (3, 2, None)


@pytest.mark.parametrize(
    "query",
    [
        "reason=bored",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "limit=0",
        "limit=x",
        "limit=" + "9" * 5000,
        "cursor=x",
        "colour=red",
    ],
)
def test_a_query_that_is_not_understood_is_refused(http: Client, query: str) -> None:
    answer = http.get(f"{PATH}?{query}")

    assert answer.status_code == 400
    assert problem(answer)


@pytest.mark.parametrize("call", ["replay", "discard"])
@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"filter":{"colour":"red"}}', b'{"rat":1}', b'{"filter":{"since":"2026-01-01"}}', b"\xff"]
)
def test_a_body_that_is_not_understood_is_refused(http: Client, call: str, body: bytes) -> None:
    answer = http.post(f"{PATH}/{call}", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert problem(answer)


@pytest.mark.parametrize("call", ["replay", "discard"])
def test_a_body_of_another_type_is_refused_for_a_web_page_could_send_it(http: Client, call: str) -> None:
    answers = [http.post(f"{PATH}/{call}"), http.post(f"{PATH}/{call}", data=b"{}", content_type="text/plain")]

    assert [answer.status_code for answer in answers] == [415, 415]


@pytest.mark.parametrize("rate", [0, -1, 1.7e308])
def test_a_rate_must_be_above_nothing_and_within_reason(http: Client, rate: int) -> None:
    assert http.post(f"{PATH}/replay", json={"rate": rate}).status_code == 400


def test_a_dry_run_only_counts(http: Client, api: Api) -> None:
    dead_letter(api, 3)
    dead_letter(api, 2, reason=DeadLetterReason.EXPIRED)

    counted = [
        http.post(f"{PATH}/{call}", json={"filter": {"reason": "expired"}, "dry_run": True}).get_json()
        for call in ("replay", "discard")
    ]

    assert counted == [{"count": 2}] * 2
    assert len(http.get(PATH).get_json()["letters"]) == 5


def test_many_are_discarded_only_by_who_knows_how_many(http: Client, api: Api) -> None:
    dead_letter(api, 3)

    refusals = [http.post(f"{PATH}/discard", json=body) for body in ({}, {"count": 2}, {"count": 4})]
    begun = http.post(f"{PATH}/discard", json={"count": 3})
    api.dead_letters.tick()

    assert [answer.status_code for answer in refusals] == [409] * 3
    assert '"count": 3' in problem(refusals[0])
    assert begun.status_code == 202
    assert http.get(begun.headers["Location"]).get_json()["state"] == "finished"
    assert http.get(PATH).get_json()["letters"] == []


def test_a_drain_can_be_followed_and_stopped(http: Client, api: Api) -> None:
    jobs = dead_letter(api, 3)

    begun = http.post(f"{PATH}/replay", json={"filter": {"run_id": RUN}, "rate": 0.001})
    place = begun.headers["Location"]
    running = http.get(place).get_json()
    stopped = http.delete(place)
    api.dead_letters.tick()

    assert (running["state"], running["action"], running["total"], running["done"]) == ("running", "replay", 3, 0)
    assert stopped.status_code == 204
    assert http.get(place).get_json()["state"] == "cancelled"
    assert http.delete(place).status_code == 409
    assert {status(http, job_id) for job_id in jobs} == {"dead"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{PATH}/x"),
        ("POST", f"{PATH}/{RUN}.1/replay"),
        ("DELETE", f"{PATH}/{RUN}.1"),
        ("GET", f"{PATH}/drains/x"),
        ("POST", f"{PATH}/a/b.1/replay"),
        ("GET", "/v1/runs/x"),
    ],
)
def test_what_is_not_there_is_not_found(http: Client, method: str, path: str) -> None:
    answer = http.open(path, method=method)

    assert answer.status_code == 404
    assert problem(answer)


def test_another_method_is_told_which_there_are(http: Client) -> None:
    answer = http.put(PATH)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert problem(answer)


def test_the_backlog_of_a_run_and_of_all_is_told(http: Client, api: Api) -> None:
    dead_letter(api, 1)
    for step in range(3):
        accept_one(api.outbox, metric(step), client="anonymous")

    of_run = http.get(f"/v1/runs/{RUN}/backlog").get_json()
    unknown = http.get("/v1/runs/unknown/backlog").get_json()
    whole = http.get("/v1/backlog").get_json()

    assert (of_run["run_id"], of_run["pending"], of_run["attempts"], of_run["error"]) == (RUN, 3, 0, None)
    assert of_run["bytes"] > 0
    assert of_run["lag"] >= 0
    assert (unknown["pending"], unknown["oldest_accepted_at"]) == (0, None)
    assert (whole["lanes"], whole["dead_letters"]) == (1, 1)
    assert whole["bytes"] > of_run["bytes"]


def test_a_bridge_that_stops_takes_no_new_writes_and_says_so(http: Client, api: Api) -> None:
    (job_id,) = dead_letter(api, 1)
    pending = accept_one(api.outbox, metric(1), client="anonymous").job_id
    api.stopping.set()

    write: dict[str, Any] = {"run_id": RUN, "key": "m", "value": 1}
    refused = http.post("/api/2.0/mlflow/runs/log-metric", json=write)

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert http.get("/readyz").status_code == 503
    assert status(http, job_id) == "dead"
    assert http.get(f"/v1/jobs/{pending}", headers={"Prefer": "wait=60"}).get_json()["status"] == "pending"


@pytest.mark.parametrize(
    ("setting", "status_code"),
    [("BRIDGE_MAX_PENDING_RUN", 429), ("BRIDGE_MAX_PENDING_CLIENT", 429), ("BRIDGE_MAX_STORE", 503)],
)
def test_what_exceeds_a_cap_is_refused_for_a_while(http_with: Any, setting: str, status_code: int) -> None:
    http = http_with({setting: "500B"})
    write: dict[str, Any] = {"run_id": RUN, "key": "m", "value": 1}

    answers = [http.post("/api/2.0/mlflow/runs/log-metric", json=write) for _ in range(20)]

    taken = [answer.status_code for answer in answers].count(200)
    assert 1 < taken < 10
    assert {answer.status_code for answer in answers[taken:]} == {status_code}
    assert {answer.headers["Retry-After"] for answer in answers[taken:]} == {"5"}
    assert "error_code" in answers[-1].get_json()


@pytest.mark.parametrize(
    ("setting", "owner"),
    [("BRIDGE_MAX_PENDING_RUN", "run"), ("BRIDGE_MAX_PENDING_CLIENT", "client"), ("BRIDGE_MAX_STORE", "bridge")],
)
def test_what_can_never_be_taken_is_not_to_be_sent_again(http_with: Any, setting: str, owner: str) -> None:
    http = http_with({setting: "500B"})
    write: dict[str, Any] = {"run_id": RUN, "key": "m" * 250, "value": "v" * 250}

    answer = http.post("/api/2.0/mlflow/runs/set-tag", json=write)

    assert (answer.status_code, answer.headers.get("Retry-After")) == (413, None)
    assert f"the 500 bytes that may be pending for this {owner}" in answer.get_json()["message"]


def test_a_letter_whose_body_is_no_json_is_shown_and_can_not_write_the_answer(http: Client, api: Api) -> None:
    # To protobuf: field 6 in eight bytes, field 4 in 58 bytes, neither of them known, and one resource without spans.
    body = b'1},"write":' + b'{"path":"/evil"},"x":{"y":"\xff\x00'.ljust(58) + b"\x0a\x00"
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
    assert http.post("/v1/traces", data=body, headers=headers).status_code == 200
    claim = api.outbox.claim("traces:0", lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
    api.outbox.settle(claim, Settlement(count=1, dead_lettering=dead_lettering), lease=LEASE)

    [letter] = http.get(PATH).get_json()["letters"]
    shown = http.get(f"{PATH}/{letter['letter_id']}").get_json()

    assert (shown["write"]["path"], shown["write"]["body"]) == ("/v1/traces", None)
    assert base64.b64decode(shown["write"]["base64"]) == body
