# SPDX-License-Identifier: Apache-2.0
"""Who sees, counts and drains which dead letters: a client its own, an operator all."""

from typing import Any

import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api
from schemas.client import Scope
from tests.asgi_client import client_of
from tests.factories import RUN, accept_one, metric
from tests.integration.test_api_access import METRIC, ask, bury_all, guarded, http, key_for  # noqa: F401 - fixtures

PATH = "/v1/dead-letters"
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
OPERATOR = (Scope.ADMIN,)


@pytest.fixture
def letters(guarded: Api) -> dict[str, str]:  # noqa: F811 - a fixture
    """A letter of each of two clients: client -> its id."""
    for name in ("mine", "other"):
        accept_one(guarded.outbox, metric(1), client=name)
    bury_all(guarded)
    found = guarded.dead_letters.letters.summaries(
        [f"{RUN}.{position}" for position in _positions(guarded)],
    )
    return {letter.client: letter.letter_id for letter in found if letter}


def _positions(bridge: Api) -> list[int]:
    last = bridge.outbox.extents([RUN])[RUN].accepted
    return [last - 1, last]


def answer(http: Http, key: str, method: str, path: str, **options: Any) -> Any:  # noqa: F811
    return ask(http, key, method, path, **options).get_json()


def test_a_client_counts_and_looks_up_its_own_and_an_operator_all(
    http: Http,  # noqa: F811
    guarded: Api,  # noqa: F811
    letters: dict[str, str],
) -> None:
    mine, admin = key_for(guarded, "mine"), key_for(guarded, "admin", scopes=OPERATOR)

    assert answer(http, mine, "GET", f"{PATH}/summary")["by_client"] == {"mine": 1}
    assert answer(http, mine, "GET", f"{PATH}/summary?client=other")["by_client"] == {"mine": 1}
    assert answer(http, admin, "GET", f"{PATH}/summary")["by_client"] == {"mine": 1, "other": 1}
    assert answer(http, admin, "GET", f"{PATH}/summary?client=other")["count"] == 1
    assert ask(http, mine, "GET", f"{PATH}/{letters['other']}/conflicts").status_code == 404
    assert ask(http, mine, "GET", PATH, query_string={"op": "log-metric"}).get_json()["letters"][0]["client"] == "mine"


def test_a_client_without_reads_learns_of_no_stored_value(
    http: Http,  # noqa: F811
    guarded: Api,  # noqa: F811
    letters: dict[str, str],
) -> None:
    writer = key_for(guarded, "mine", scopes=(Scope.WRITE,))

    found = answer(http, writer, "GET", f"{PATH}/{letters['mine']}/conflicts")

    assert (found["checked"], found["overwrites"], "GetRun" in found["why"]) == (False, [], True)


def test_ids_of_others_are_as_if_they_did_not_exist(
    http: Http,  # noqa: F811
    guarded: Api,  # noqa: F811
    letters: dict[str, str],
) -> None:
    cleaner = key_for(guarded, "mine", allow=("DrainDeadLetters",))
    both = {"letter_ids": [letters["other"], letters["mine"]]}

    replayed = answer(http, cleaner, "POST", f"{PATH}/replay", json=both)["results"]
    discarded = answer(http, cleaner, "POST", f"{PATH}/discard", json=both)["results"]

    assert [each and each["letter_id"] for each in replayed] == [None, letters["mine"]]
    assert discarded == [False, False]
    assert guarded.dead_letters.letters.letter(letters["other"])


def test_who_may_not_make_one_of_the_writes_replays_none_of_them(
    guarded: Api,  # noqa: F811
    letters: dict[str, str],
) -> None:
    key = key_for(guarded, "mine", allow=("DrainDeadLetters",), deny=("LogMetric",))
    with client_of(guarded) as http:  # noqa: F811
        refused = ask(http, key, "POST", f"{PATH}/replay", json={"letter_ids": [letters["mine"]]})

    assert refused.status_code == 403
    assert guarded.dead_letters.letters.letter(letters["mine"])


def test_a_client_sees_and_changes_the_drains_of_its_own_letters_only(
    http: Http,  # noqa: F811
    guarded: Api,  # noqa: F811
    letters: dict[str, str],  # noqa: ARG001 - there is something to drain
) -> None:
    mine = key_for(guarded, "mine", allow=("DrainDeadLetters",))
    admin = key_for(guarded, "admin", scopes=OPERATOR)
    own = ask(http, mine, "POST", f"{PATH}/replay", json={"rate": 0.001}).headers["Location"]
    whole = ask(http, admin, "POST", f"{PATH}/replay", json={"rate": 0.001}).headers["Location"]

    def listed(key: str) -> list[str]:
        return [drain["ordered_by"] for drain in answer(http, key, "GET", f"{PATH}/drains")["drains"]]

    assert (listed(mine), sorted(listed(admin))) == (["mine"], ["admin", "mine"])
    assert [ask(http, mine, "GET", place).status_code for place in (own, whole)] == [200, 404]
    assert [ask(http, mine, "PATCH", place, json={"rate": 1}).status_code for place in (own, whole)] == [200, 404]
    assert ask(http, mine, "DELETE", whole).status_code == 409
    assert ask(http, admin, "DELETE", own).status_code == 204


def test_the_jobs_of_a_request_are_those_of_the_client_that_asks(http: Http, guarded: Api) -> None:  # noqa: F811
    mine, other = key_for(guarded, "mine"), key_for(guarded, "other")
    admin = key_for(guarded, "admin", scopes=OPERATOR)
    headers = {"X-Request-Id": "night-1", "Idempotency-Key": "k", "Authorization": f"Bearer {mine}"}
    job_id = http.post(LOG_METRIC, json=METRIC, headers=headers).headers["Job-Id"]

    def found(key: str, query: str) -> list[str]:
        return [job["job_id"] for job in answer(http, key, "GET", f"/v1/jobs?{query}")["jobs"]]

    assert found(mine, "request_id=night-1") == found(mine, "idempotency_key=k") == [job_id]
    assert found(admin, "request_id=night-1") == found(admin, "idempotency_key=k&client=mine") == [job_id]
    assert found(other, "request_id=night-1") == found(other, "idempotency_key=k&client=mine") == []
    assert found(admin, "idempotency_key=k") == found(other, "idempotency_key=k") == []
