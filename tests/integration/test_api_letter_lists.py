# SPDX-License-Identifier: Apache-2.0
"""Dead letters by cause, orders by ids, drains and look-ups of jobs over HTTP, before a real MLflow."""

import csv
import io
import json
from typing import Any

import pytest
import requests
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from tests.factories import RUN, accept_one, metric, param, tag
from tests.integration.test_api_dead_letters import LEASE, PATH, dead_letter, problem
from tests.signature_front import SignatureFront

DRAINS = f"{PATH}/drains"
CSV = {"Accept": "text/csv"}
MLFLOW = "/api/2.0/mlflow"


def letter_ids(http: Client, query: str = "") -> list[str]:
    return [letter["letter_id"] for letter in http.get(f"{PATH}?{query}").get_json()["letters"]]


def bury(api: Api, *writes: Any, message: str = "no") -> None:
    """Make writes of one run dead letters."""
    for write in writes:
        accept_one(api.outbox, write, client="anonymous")
    claim = api.outbox.claim(writes[0].lane, lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message=message)
    api.outbox.settle(
        claim, Settlement(count=len(writes), attempts=1, status=400, dead_lettering=dead_lettering), lease=LEASE
    )


def test_letters_are_listed_newest_first_and_by_cause(http: Client, api: Api) -> None:
    dead_letter(api, 3)
    bury(api, tag("t", "1", run_id=f"{7:032x}"))

    assert letter_ids(http, "order=newest") == letter_ids(http, "order=oldest")[::-1] == letter_ids(http)[::-1]
    assert len(letter_ids(http, "op=set-tag")) == 1
    assert len(letter_ids(http, "error_code=INVALID_PARAMETER_VALUE")) == 3
    [letter] = http.get(f"{PATH}?op=set-tag").get_json()["letters"]
    assert letter["error_code"] is None
    for query in ("order=upwards", "op=log-nothing"):
        assert problem(http.get(f"{PATH}?{query}"))


def test_a_summary_counts_by_reason_client_and_cause(http: Client, api: Api) -> None:
    dead_letter(api, 3)
    dead_letter(api, 2, reason=DeadLetterReason.EXPIRED)

    whole = http.get(f"{PATH}/summary").get_json()
    part = http.get(f"{PATH}/summary?reason=expired").get_json()

    assert (whole["count"], whole["by_reason"], whole["by_client"]) == (
        5,
        {"refused": 3, "expired": 2},
        {"anonymous": 5},
    )
    assert [(group["count"], group["reason"], group["op"]) for group in whole["groups"]] == [
        (3, "refused", "log-metric"),
        (2, "expired", "log-metric"),
    ]
    assert http.get(f"{PATH}/{whole['groups'][0]['sample']}").status_code == 200
    assert (part["count"], len(part["groups"]), part["sampled"]) == (2, 1, False)
    assert problem(http.get(f"{PATH}/summary?limit=3"))


def test_a_summary_is_kept_for_a_moment_and_an_order_counts_for_itself(http: Client, api: Api) -> None:
    dead_letter(api, 2)
    first = http.get(f"{PATH}/summary").get_json()
    dead_letter(api, 1)

    assert http.get(f"{PATH}/summary").get_json() == first
    assert http.post(f"{PATH}/replay", json={"dry_run": True}).get_json() == {"count": 3}


def rows_of(answer: TestResponse) -> list[list[str]]:
    assert answer.content_type.startswith("text/csv")
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True))))


def test_all_pages_are_one_csv_and_no_cell_is_a_formula(
    http: Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.dead_letters.PAGE_ROWS", 2)
    bury(api, *(metric(step) for step in range(5)), message='=HYPERLINK("http://evil")')

    answer = http.get(f"{PATH}?order=newest", headers=CSV)
    head, *rows = rows_of(answer)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="dead-letters.csv"'
    assert [row[head.index("letter_id")] for row in rows] == letter_ids(http, "order=newest")
    assert {row[head.index("message")] for row in rows} == {'\'=HYPERLINK("http://evil")'}
    assert {row[head.index("status")] for row in rows} == {""}
    assert http.get(PATH, headers={"Accept": "*/*"}).content_type == "application/json"
    assert problem(http.get(f"{PATH}?cursor=x", headers=CSV))


def test_a_csv_ends_at_its_last_row(http: Client, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.csv_response.MAX_ROWS", 3)
    dead_letter(api, 5)

    assert len(rows_of(http.get(PATH, headers=CSV))) == 1 + 3


def test_letters_are_replayed_and_discarded_by_their_ids(http: Client, api: Api) -> None:
    dead_letter(api, 4)
    first, second, third, fourth = letter_ids(http)

    replayed = http.post(f"{PATH}/replay", json={"letter_ids": [second, "x", first]})
    discarded = http.post(f"{PATH}/discard", json={"letter_ids": ["x", third, third]})

    assert (replayed.status_code, discarded.status_code) == (200, 200)
    results = replayed.get_json()["results"]
    assert [each and each["letter_id"] for each in results] == [second, None, first]
    assert http.get(f"/v1/jobs/{results[0]['job_id']}").get_json()["status"] == "pending"
    assert discarded.get_json() == {"results": [False, True, False]}
    assert letter_ids(http) == [fourth]


@pytest.mark.parametrize("call", ["replay", "discard"])
@pytest.mark.parametrize(
    "further", [{"filter": {"reason": "refused"}}, {"dry_run": True}, {"count": 1}, {"letter_ids": ["x"] * 1001}]
)
def test_ids_go_without_a_filter_and_are_not_too_many(http: Client, call: str, further: dict[str, Any]) -> None:
    answer = http.post(f"{PATH}/{call}", json={"letter_ids": ["x"]} | further)

    assert answer.status_code == 400
    assert problem(answer)


@pytest.mark.parametrize("call", ["replay", "discard"])
def test_an_order_with_another_count_is_refused_with_the_number(http: Client, api: Api, call: str) -> None:
    dead_letter(api, 3)

    refused = http.post(f"{PATH}/{call}", json={"count": 2})
    begun = http.post(f"{PATH}/{call}", json={"count": refused.get_json()["count"]})

    assert (refused.status_code, refused.get_json()["count"]) == (409, 3)
    assert '"count": 3' in problem(refused)
    assert begun.status_code == 202


def test_a_drain_is_listed_and_its_rate_changed(http: Client, api: Api) -> None:
    dead_letter(api, 3)
    place = http.post(f"{PATH}/replay", json={"rate": 0.001}).headers["Location"]

    changed = http.patch(place, json={"rate": 0.002})
    [listed] = http.get(f"{DRAINS}?state=running").get_json()["drains"]
    unlimited = http.patch(place, json={"rate": None})
    api.dead_letters.tick()
    ended = http.get(place).get_json()

    assert (changed.status_code, changed.get_json()["rate"]) == (200, 0.002)
    assert (listed["rate"], listed["ordered_by"], listed["finished_at"]) == (0.002, "anonymous", None)
    assert unlimited.get_json()["rate"] is None
    assert (ended["state"], ended["done"], ended["skipped"]) == ("finished", 3, 0)
    assert ended["finished_at"]
    assert http.get(DRAINS).get_json()["drains"] == [ended]
    assert http.get(f"{DRAINS}?state=running").get_json()["drains"] == []
    assert http.patch(place, json={"rate": 1}).status_code == 409
    assert http.patch(f"{DRAINS}/x", json={"rate": 1}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"rate": 0}, {"rate": "x"}, {"rate": 1, "state": "running"}, []])
def test_a_change_that_is_not_understood_is_refused(http: Client, body: Any) -> None:
    assert problem(http.patch(f"{DRAINS}/x", json=body))


@pytest.mark.parametrize("query", ["state=bored", "limit=0", "limit=x", "cursor=x", "limit=1001"])
def test_a_list_of_drains_that_is_not_understood_is_refused(http: Client, query: str) -> None:
    assert problem(http.get(f"{DRAINS}?{query}"))


def created_run(front: SignatureFront) -> str:
    answer = requests.post(f"{front.url}{MLFLOW}/runs/create", json={"experiment_id": "0"}, timeout=30)
    return str(answer.json()["run"]["info"]["run_id"])


def test_conflicts_are_what_mlflow_has_stored_since(http: Client, api: Api, front: SignatureFront) -> None:
    run_id = created_run(front)
    bury(api, tag("team", "a", run_id=run_id), param("p", "2", run_id=run_id))
    for call, body in (("set-tag", {"key": "team", "value": "b"}), ("log-parameter", {"key": "p", "value": "1"})):
        requests.post(f"{front.url}{MLFLOW}/runs/{call}", json={"run_id": run_id, **body}, timeout=30)
    accept_one(api.outbox, metric(1, run_id=run_id), client="anonymous")

    first, second = (http.get(f"{PATH}/{each}/conflicts").get_json() for each in letter_ids(http))

    assert first == {
        "later_writes": 2,
        "overwrites": [{"kind": "tag", "key": "team", "stored": "b", "letter": "a"}],
        "checked": True,
        "why": None,
    }
    assert (second["later_writes"], second["overwrites"][0]["kind"]) == (1, "param")
    assert http.get(f"{PATH}/x/conflicts").status_code == 404


def test_conflicts_with_a_run_that_mlflow_does_not_have_are_not_compared(http: Client, api: Api) -> None:
    bury(api, tag("team", "a"))
    [letter_id] = letter_ids(http)

    found = http.get(f"{PATH}/{letter_id}/conflicts").get_json()

    assert (found["checked"], found["overwrites"], found["later_writes"]) == (False, [], 0)
    assert "refuses" in found["why"]


def test_a_letter_has_its_exact_text_and_its_trail(http: Client, api: Api) -> None:
    step = 9223372036854775807
    answer = http.post(
        f"{MLFLOW}/runs/log-metric",
        json={"run_id": RUN, "key": "m", "value": 1, "step": step},
        headers={"X-Request-Id": "night-1"},
    )
    claim = api.outbox.claim(RUN, lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
    api.outbox.settle(claim, Settlement(count=1, attempts=1, dead_lettering=dead_lettering), lease=LEASE)
    [letter_id] = letter_ids(http)

    letter = http.get(f"{PATH}/{letter_id}").get_json()

    assert f'"step":{step}' in letter["write"]["body_text"]
    assert json.loads(letter["write"]["body_text"]) == letter["write"]["body"]
    assert letter["trail"] == {
        "request_id": "night-1",
        "job_id": answer.headers["Job-Id"],
        "upstream_request_id": None,
    }


def test_a_job_is_found_by_its_request_and_by_its_idempotency_key(http: Client) -> None:
    answer = http.post(
        f"{MLFLOW}/runs/log-metric",
        json={"run_id": RUN, "key": "m", "value": 1},
        headers={"X-Request-Id": "night-1", "Idempotency-Key": '"key 1"'},
    )

    for query in ("request_id=night-1", "idempotency_key=key%201", "idempotency_key=key%201&client=anonymous"):
        [job] = http.get(f"/v1/jobs?{query}").get_json()["jobs"]
        assert (job["job_id"], job["status"]) == (answer.headers["Job-Id"], "pending")
    assert http.get("/v1/jobs?request_id=another").get_json() == {"jobs": [], "next": None}
    assert http.get("/v1/jobs?idempotency_key=key%201&client=b").get_json() == {"jobs": [], "next": None}
    for query in ("request_id=a&run_id=x", "request_id=a&idempotency_key=b", "client=a&mine=dead", "request_id="):
        assert problem(http.get(f"/v1/jobs?{query}"))


def test_what_is_polled_is_sent_again_only_when_it_has_changed(http: Client, api: Api) -> None:
    dead_letter(api, 2)
    place = http.post(f"{PATH}/replay", json={"rate": 0.001}).headers["Location"]

    for path in (PATH, f"{PATH}/summary", DRAINS, place):
        etag = {"If-None-Match": http.get(path).headers["ETag"]}
        assert http.get(path, headers=etag).status_code == 304
    assert http.get(PATH, headers=CSV | {"If-None-Match": "*"}).status_code == 200
