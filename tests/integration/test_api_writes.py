# SPDX-License-Identifier: Apache-2.0
"""The queued calls, over HTTP and a real store."""

import json
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from tests.factories import RUN
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

RUNS = "/api/2.0/mlflow/runs"
METRIC = {"run_id": RUN, "key": "m", "value": 1.5, "timestamp": 1, "step": 2}


def post(http: Client, call: str, body: Any, prefix: str = RUNS, **headers: str) -> TestResponse:
    return http.post(f"{prefix}/{call}", data=json.dumps(body), content_type="application/json", headers=headers)


@pytest.mark.parametrize("prefix", [RUNS, "/ajax-api/2.0/mlflow/runs"])
@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("log-metric", METRIC),
        ("log-parameter", {"run_id": RUN, "key": "p", "value": "v"}),
        ("set-tag", {"run_id": RUN, "key": "t", "value": "v"}),
        ("log-batch", {"run_id": RUN, "metrics": [], "tags": [{"key": "t", "value": "v"}]}),
    ],
)
def test_a_write_is_answered_like_mlflow_and_says_where_its_job_is(
    http: Client, call: str, body: Any, prefix: str
) -> None:
    answer = post(http, call, body, prefix)
    job = http.get(answer.headers["Location"])

    assert (answer.status_code, answer.data, answer.content_type) == (200, b"{}", "application/json")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.headers['Job-Id']}"
    assert answer.headers["Vary"] == "Prefer"
    assert job.json
    assert (job.json["status"], job.json["op"], job.json["run_id"]) == ("pending", call, RUN)


@pytest.mark.parametrize("prefer", ["respond-async", "return=minimal, Respond-Async;x=1, wait=0"])
def test_a_client_that_prefers_it_gets_202_and_the_job(http: Client, prefer: str) -> None:
    answer = post(http, "log-metric", METRIC, Prefer=prefer)

    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.json
    assert answer.json["job_id"] == answer.headers["Job-Id"]
    assert answer.json == http.get(answer.headers["Location"]).json


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        (None, "Bad Request. Content-Type header is missing."),
        ("text/plain", "Bad Request. Content-Type must be one of ['application/json']."),
        ("Application/JSON", "Bad Request. Content-Type must be one of ['application/json']."),
        ("application/json ;charset=utf-8", "Bad Request. Content-Type must be one of ['application/json']."),
    ],
)
def test_another_content_type_is_refused_as_mlflow_refuses_it(
    http: Client, content_type: str | None, message: str
) -> None:
    answer = http.post(f"{RUNS}/log-metric", data=json.dumps(METRIC), content_type=content_type)

    assert answer.status_code == 400
    assert answer.json == {"error_code": "INVALID_PARAMETER_VALUE", "message": message}


def test_a_charset_does_no_harm(http: Client) -> None:
    answer = http.post(f"{RUNS}/log-metric", data=json.dumps(METRIC), content_type="application/json; charset=utf-8")

    assert answer.status_code == 200


def test_a_body_that_is_too_long_is_refused_unread(http: Client) -> None:
    answer = post(http, "set-tag", {"run_id": RUN, "key": "t", "value": "v" * 70_000})

    assert answer.status_code == 413
    assert answer.json
    assert "the maximum is 65536 bytes" in answer.json["message"]


def test_an_invalid_write_is_refused_and_leaves_nothing_behind(http: Client, api: Api) -> None:
    answer = post(http, "log-metric", METRIC | {"step": 1.5})

    assert answer.status_code == 400
    assert answer.json
    assert answer.json["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "'step'" in answer.json["message"]
    assert api.outbox.backlog().lanes == 0


def test_the_workspace_travels_with_the_write(http: Client, api: Api) -> None:
    post(http, "log-metric", METRIC, **{"X-MLFLOW-WORKSPACE": "team-a"})

    claim = api.outbox.claim(RUN, lease=api.settings.lease)

    assert claim
    assert claim.jobs[0].write.workspace == "team-a"


def test_a_job_that_is_not_there_is_a_problem_document(http: Client) -> None:
    answer = http.get("/v1/jobs/nonsense")

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json
    assert answer.json["type"] == "urn:mlflow-bridge:problem:resource-does-not-exist"
    assert answer.json["status"] == 404


def test_a_job_that_has_not_changed_is_not_sent_again(http: Client) -> None:
    location = post(http, "log-metric", METRIC).headers["Location"]
    first = http.get(location)

    again = http.get(location, headers={"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304


def test_waiting_for_a_job_ends_when_the_wait_is_over(http: Client) -> None:
    location = post(http, "log-metric", METRIC).headers["Location"]

    answer = http.get(location, headers={"Prefer": "wait=1"})

    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.json
    assert answer.json["status"] == "pending"


def test_liveness_needs_nothing_and_readiness_tells_every_part(http: Client) -> None:
    alive = http.get("/healthz")
    ready = http.get("/readyz")

    assert (alive.status_code, alive.json) == (200, {"status": "ok"})
    assert ready.status_code == 200
    assert ready.json
    assert ready.json["status"] == "degraded", "there are no workers"
    assert ready.json["store"]["durability"] == "fsync-always"
    assert ready.json["store"]["warnings"] == []
    assert ready.json["broker"] == {"reachable": True}
    assert ready.json["workers"] == {"alive": 0}
    assert ready.json["upstream"]["reachable"] is True
    assert ready.json["upstream"]["gate"]["breaker"] == "closed"


def test_a_repeat_with_the_same_key_is_the_same_job(http: Client, api: Api) -> None:
    body = METRIC | {"timestamp": None}
    first = post(http, "log-metric", body, **{"Idempotency-Key": '"a key"'})
    again = post(http, "log-metric", body, **{"Idempotency-Key": '"a key"'})

    assert (first.status_code, again.status_code) == (200, 200)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Job-Id"] == first.headers["Job-Id"]
    claim = api.outbox.claim(RUN, lease=api.settings.lease)
    assert claim
    assert len(claim.jobs) == 1


def test_a_key_that_comes_with_another_body_is_422(http: Client) -> None:
    post(http, "log-metric", METRIC, **{"Idempotency-Key": "k-1"})

    other = post(http, "log-metric", METRIC | {"value": 2}, **{"Idempotency-Key": '"k-1"'})

    assert other.status_code == 422
    assert other.json
    assert "Idempotency-Key" in other.json["message"]


@pytest.mark.parametrize("key", ["", '""', "two words", '"unfinished', "é", "x" * 256])
def test_a_key_that_is_none_is_refused(http: Client, key: str) -> None:
    answer = post(http, "log-metric", METRIC, **{"Idempotency-Key": key})

    assert answer.status_code == 400
    assert answer.json
    assert "Idempotency-Key must be" in answer.json["message"]


def test_a_refused_request_does_not_use_its_key_up(http: Client) -> None:
    refused = post(http, "log-metric", METRIC | {"step": 1.5}, **{"Idempotency-Key": "k-2"})
    mended = post(http, "log-metric", METRIC, **{"Idempotency-Key": "k-2"})

    assert (refused.status_code, mended.status_code) == (400, 200)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, {"Content-Type": "text/plain"}, b"Tracking server could not be found"), "status 404"),
        (Answer(403, {"x-amzn-ErrorType": "ExpiredTokenException:"}, b"{}"), "status 403 ExpiredTokenException"),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>"), "status 200"),
    ],
)
def test_readiness_believes_only_mlflow(http: Client, front: SignatureFront, answer: Answer, reason: str) -> None:
    front.set_fault(answer)

    ready = http.get("/readyz")

    assert ready.json
    assert ready.json["status"] == "degraded"
    assert (ready.json["upstream"]["reachable"], ready.json["upstream"]["reason"]) == (False, reason)
