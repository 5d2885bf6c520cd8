# SPDX-License-Identifier: Apache-2.0
"""Who reads what he has logged waits for it, for a bounded time; who logs may wait for MLflow's own answer."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from bridge.outbox import Attempt, DeadLettering, DeadLetterReason, Settlement
from schemas.job import UpstreamAnswer
from tests.factories import RUN, accept_one, metric
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

GET_RUN = f"/api/2.0/mlflow/runs/get?run_id={RUN}"
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
BODY = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}
DELIVERED = Settlement(count=1, attempts=1, status=200)
REFUSED = Settlement(
    count=1,
    attempts=1,
    status=404,
    dead_lettering=DeadLettering(
        reason=DeadLetterReason.REFUSED,
        message="Run not found",
        answer=UpstreamAnswer(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message="Run not found"),
    ),
)


@contextmanager
def settled_meanwhile(api: Api, settlement: Settlement, *, once: Callable[[], object]) -> Iterator[None]:
    """Settle the run's first write in a thread, after `once` has returned."""

    def settle() -> None:
        once()
        claim = api.outbox.claim(RUN, lease=api.settings.lease)
        assert claim
        api.outbox.settle(claim, settlement, lease=api.settings.lease)

    thread = threading.Thread(target=settle)
    thread.start()
    yield
    thread.join()


@pytest.fixture
def front(front: SignatureFront) -> SignatureFront:
    """Answers every read."""
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b"{}"))
    return front


@pytest.mark.usefixtures("front")
def test_a_read_of_a_run_waits_for_what_was_logged_before_it(http: Client, api: Api, front: SignatureFront) -> None:
    accept_one(api.outbox, metric(1), client="anonymous")

    with settled_meanwhile(api, DELIVERED, once=lambda: None):
        answer = http.get(GET_RUN)

    assert answer.status_code == 200
    assert "Bridge-Pending-Writes" not in answer.headers
    assert len(front.calls) == 1


@pytest.mark.usefixtures("front")
def test_a_read_that_can_wait_no_longer_says_what_it_may_have_missed(http: Client, api: Api) -> None:
    for step in range(3):
        accept_one(api.outbox, metric(step), client="anonymous")

    at_once = http.get(GET_RUN, headers={"Prefer": "wait=0"})
    bounded = http.get(GET_RUN, headers={"Prefer": "wait=1"})

    assert at_once.headers["Bridge-Pending-Writes"] == "3"
    assert at_once.headers["Preference-Applied"] == "wait=0"
    assert bounded.headers["Bridge-Pending-Writes"] == "3"
    assert bounded.headers["Preference-Applied"] == "wait=1"


@pytest.mark.usefixtures("front")
def test_a_read_of_another_run_does_not_wait(http_with: Any, environ: dict[str, str], api: Api) -> None:
    accept_one(api.outbox, metric(1), client="anonymous")
    outbox = http_with(environ | {"BRIDGE_READ_YOUR_WRITES_TIMEOUT": "10m"})

    assert outbox.get(GET_RUN.replace(RUN, "1" * 32)).status_code == 200
    assert outbox.get("/version").status_code == 200
    assert outbox.get("/api/2.0/mlflow/experiments/get?experiment_id=0").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/2.0/mlflow/runs/delete", {"run_id": RUN}),
        ("POST", "/api/2.0/mlflow/logged-models", {"experiment_id": "0", "source_run_id": RUN}),
        ("GET", f"/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={'2' * 32}&run_id={RUN}&metric_key=m", None),
        ("GET", f"/get-artifact?run_uuid={RUN}&path=x", None),
    ],
)
@pytest.mark.usefixtures("front")
def test_every_call_that_names_the_run_waits(
    http: Client, api: Api, method: str, path: str, body: dict[str, str] | None
) -> None:
    accept_one(api.outbox, metric(1), client="anonymous")

    answer = http.open(path, method=method, json=body, headers={"Prefer": "wait=0"})

    assert answer.headers["Bridge-Pending-Writes"] == "1"


def test_a_search_waits_for_the_runs_that_its_client_has_logged_to(
    http_with: Any, environ: dict[str, str], api: Api, front: SignatureFront
) -> None:
    outbox = http_with(environ | {"BRIDGE_READ_YOUR_WRITES_TIMEOUT": "30s"})
    outbox.post(LOG_METRIC, json=BODY)
    found: list[TestResponse] = []
    search = threading.Thread(target=lambda: found.append(outbox.post("/api/2.0/mlflow/runs/search", json={})))

    search.start()
    with settled_meanwhile(api, DELIVERED, once=lambda: None):
        search.join()

    assert found[0].status_code == 200
    assert api.outbox.lane_backlog(RUN).pending == 0
    assert len(front.calls) == 1


@pytest.mark.usefixtures("front")
def test_who_prefers_to_wait_gets_mlflows_own_answer(http: Client, api: Api) -> None:
    def pending() -> None:
        while not api.outbox.lane_backlog(RUN).pending:
            pass

    with settled_meanwhile(api, DELIVERED, once=pending):
        good = http.post(LOG_METRIC, json=BODY, headers={"Prefer": "wait=20"})
    with settled_meanwhile(api, REFUSED, once=pending):
        bad = http.post(LOG_METRIC, json=BODY, headers={"Prefer": "respond-async, wait=20"})

    assert (good.status_code, good.json, good.headers["Preference-Applied"]) == (200, {}, "wait=20")
    assert bad.status_code == 404
    assert bad.json == {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run not found"}
    assert bad.headers["Job-Id"]


def test_who_has_waited_in_vain_gets_the_job(http: Client) -> None:
    answer = http.post(LOG_METRIC, json=BODY, headers={"Prefer": "wait=1"})

    assert answer.status_code == 202
    assert answer.json
    assert answer.json["status"] == "pending"
    assert answer.json["job_id"] == answer.headers["Job-Id"]


@pytest.mark.usefixtures("front")
def test_a_search_does_not_wait_for_a_run_that_upstream_does_not_take(http: Client, api: Api) -> None:
    http.post(LOG_METRIC, json=BODY)
    claim = api.outbox.claim(RUN, lease=api.settings.lease)
    assert claim
    attempt = Attempt(writes=1, reason="unavailable", message="down")
    api.outbox.release(claim, after=dt.timedelta(minutes=1), attempt=attempt)

    began = time.monotonic()
    answer = http.post("/api/2.0/mlflow/runs/search", json={}, headers={"Prefer": "wait=20"})
    waited = time.monotonic() - began
    named = http.get(GET_RUN, headers={"Prefer": "wait=0"})

    assert (answer.status_code, waited < 10) == (200, True)
    assert named.headers["Bridge-Pending-Writes"] == "1", "who names the run is told all the same"
