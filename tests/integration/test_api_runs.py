# SPDX-License-Identifier: Apache-2.0
"""Named runs, and the jobs of a run, over HTTP before a real Redis."""

from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from schemas.lane import NamedRun
from tests.factories import RUN, accept_one, metric
from tests.integration.test_api_dead_letters import LEASE, dead_letter

PATH = "/v1/runs"
JOBS = "/v1/jobs"


def ask(http: Client, body: Any, **headers: str) -> TestResponse:
    return http.post(PATH, json=body, headers=headers)


def test_a_run_is_asked_for_and_known_as_pending_until_it_has_an_id(http: Client, api: Api) -> None:
    asked = ask(http, {"run": "nightly/17"})
    before = http.get("/v1/runs/nightly/17").get_json()
    api.names.bind(NamedRun("nightly/17").lane, RUN)
    after = http.get("/v1/runs/nightly/17").get_json()

    assert (asked.status_code, asked.headers["Location"]) == (202, "/v1/runs/nightly/17")
    known = asked.get_json()
    assert (known["run"], known["state"], known["run_id"]) == ("nightly/17", "pending", None)
    job = http.get(f"{JOBS}/{known['job_id']}").get_json()
    assert (job["op"], job["lane"], job["run_id"]) == ("create-run", "run:nightly%2F17", None)
    assert (before["state"], before["run_id"]) == ("pending", None)
    assert (after["state"], after["run_id"]) == ("created", RUN)


def test_a_request_for_a_run_can_be_repeated_under_its_key(http: Client, api: Api) -> None:
    first = ask(http, {"run": "n"}, **{"Idempotency-Key": "k"})
    second = ask(http, {"run": "n"}, **{"Idempotency-Key": "k"})
    other = ask(http, {"run": "other"}, **{"Idempotency-Key": "k"})

    assert first.get_json()["job_id"] == second.get_json()["job_id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.content_type) == (422, "application/problem+json")
    assert api.outbox.lane_backlog(NamedRun("n").lane).pending == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "'run'"),
        ({"run": "a b"}, "200 letters"),
        ({"run": RUN}, "is the id of a run"),
        ({"run": "a", "experiment_id": "1", "experiment_name": "b"}, "not both"),
        ({"run": "a", "experiment_id": 1}, "experiment_id"),
        ({"run": "a", "run_name": ""}, "run_name"),
        ({"run": "a", "start_time": -1}, "start_time"),
        ({"run": "a", "tags": [{"key": "mlflow-bridge.run", "value": "b"}]}, "the bridge's own"),
        ({"run": "a", "tags": [{"key": "a@b"}]}, "tags[0].key"),
        ({"run": "a", "experimant_name": "typo"}, "experimant_name"),
        ({"run": "a", "experiment_name": "x" * 501}, "'experiment_name' exceeds the maximum length of 500"),
        ({"run": "a", "run_name": "x" * 251}, "'run_name' exceeds"),
        ({"run": "a", "experiment_id": "7/../8"}, "experiment_id"),
        ({"run": "a", "tags": [{"key": "t"}, {"key": "t"}]}, "named twice"),
        ([], "JSON object"),
    ],
)
def test_what_can_be_no_run_is_refused_with_the_reason(http: Client, api: Api, body: Any, says: str) -> None:
    answer = ask(http, body)

    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert says in answer.get_json()["detail"]
    assert api.outbox.backlog().lanes == 0


def test_the_same_name_in_two_workspaces_is_two_runs(http: Client, api: Api) -> None:
    for workspace in ("a", "b"):
        assert ask(http, {"run": "n"}, **{"X-MLFLOW-WORKSPACE": workspace}).status_code == 202

    assert api.outbox.backlog().lanes == 2
    assert http.get("/v1/runs/n").status_code == 404
    assert http.get("/v1/runs/n", headers={"X-MLFLOW-WORKSPACE": "a"}).status_code == 200


def test_of_a_name_that_was_never_asked_for_nothing_is_known(http: Client) -> None:
    answer = http.get("/v1/runs/never/asked-for")

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert http.get("/v1/runs/a%20b").status_code == 404


@pytest.mark.parametrize("call", ["log-metric", "log-parameter", "set-tag", "log-batch", "delete-tag", "update"])
def test_a_body_may_name_its_run(http: Client, api: Api, call: str) -> None:
    body = {"run": "n/1", "key": "k", "value": "1", "timestamp": 5}

    answer = http.post(f"/api/2.0/mlflow/runs/{call}", json=body)

    assert answer.status_code == 200, answer.data
    assert api.outbox.lane_backlog(NamedRun("n/1").lane).pending == 1
    assert http.get("/v1/runs/n/1/backlog").get_json()["pending"] == 1
    both = http.post(f"/api/2.0/mlflow/runs/{call}", json=body | {"run_id": RUN})
    assert both.status_code == 200, "MLflow does not know the field, and an id is an id"
    assert api.outbox.lane_backlog(RUN).pending == 1


def test_the_pending_jobs_of_a_run_are_listed_page_by_page(http: Client, api: Api) -> None:
    jobs = [accept_one(api.outbox, metric(step), client="anonymous").job_id for step in range(5)]

    first = http.get(JOBS, query_string={"run_id": RUN, "limit": "3"}).get_json()
    second = http.get(JOBS, query_string={"run_id": RUN, "limit": "3", "cursor": first["next"]}).get_json()

    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == jobs
    assert {job["status"] for job in first["jobs"]} == {"pending"}
    assert second["next"] is None


def test_the_dead_jobs_of_a_run_are_listed(http: Client, api: Api) -> None:
    jobs = dead_letter(api, 3)

    page = http.get(JOBS, query_string={"run_id": RUN, "status": "dead", "limit": "2"}).get_json()
    rest = http.get(JOBS, query_string={"run_id": RUN, "status": "dead", "cursor": page["next"]}).get_json()

    assert [job["job_id"] for each in (page, rest) for job in each["jobs"]] == jobs
    assert page["jobs"][0]["error"]["reason"] == "refused"


@pytest.mark.parametrize(
    "query",
    [
        *("", "run_id=a&run=b", "run_id=a&status=delivered", "run_id=a&limit=0", "run_id=a&limit=x"),
        *("run_id=a&cursor=x", "run_id=a&status=dead&cursor=x", "run_id=a&more=1", "run=a%20b"),
    ],
)
def test_a_question_that_can_not_be_answered_is_refused(http: Client, query: str) -> None:
    answer = http.get(f"{JOBS}?{query}")

    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
        ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
        ("HEAD", "/ajax-api/3.0/mlflow/assistant/config"),
    ],
)
def test_what_mlflow_gives_to_its_own_host_only_is_not_passed_on(http: Client, method: str, path: str) -> None:
    answer = http.open(path, method=method)

    assert answer.status_code == 403
    assert method == "HEAD" or answer.get_json()["error_code"] == "PERMISSION_DENIED"


def test_who_asks_for_a_name_that_has_a_run_is_told_its_id_at_once(http: Client, api: Api) -> None:
    api.names.bind(NamedRun("n").lane, RUN)

    answer = ask(http, {"run": "n"}, Prefer="wait=5")

    assert (answer.status_code, answer.get_json()["run_id"], answer.get_json()["state"]) == (200, RUN, "created")


def test_a_run_that_was_refused_is_told_from_one_that_waits(http: Client, api: Api) -> None:
    job_id = ask(http, {"run": "n"}).get_json()["job_id"]
    claim = api.outbox.claim(NamedRun("n").lane, lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="there is no such experiment")
    api.outbox.settle(claim, Settlement(count=1, dead_lettering=dead_lettering), lease=LEASE)

    dead = http.get("/v1/runs/n").get_json()
    ask(http, {"run": "n"})
    again = http.get("/v1/runs/n").get_json()

    assert (dead["state"], dead["reason"], dead["job_id"]) == ("dead", "there is no such experiment", job_id)
    assert (again["state"], again["reason"]) == ("pending", None)


@pytest.mark.parametrize("workspace", ["\xa0x", "a\x01b", "x" * 257])
def test_a_workspace_that_no_header_can_hold_is_refused_before_it_is_ours(
    http: Client, api: Api, workspace: str
) -> None:
    metric_of = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}
    headers = {"X-MLFLOW-WORKSPACE": workspace}

    single = http.post("/api/2.0/mlflow/runs/log-metric", json=metric_of, headers=headers)
    many = http.post("/v1/writes", json={"writes": [{"op": "log-metric"} | metric_of]}, headers=headers)

    assert (single.status_code, many.status_code) == (400, 400)
    assert api.outbox.backlog().lanes == 0
