# SPDX-License-Identifier: Apache-2.0
"""Drains of a whole bridge: guarded by a count, changed in their middle, and continued whatever is killed meanwhile."""

import datetime as dt
import json
from typing import Any

import pytest
import requests

from bridge.outbox import DeadLettering, DeadLetterReason, Settlement
from bridge.redis_store.client import disconnect
from bridge.redis_store.outbox import RedisOutbox, connect
from tests.acceptance.test_dead_letters import no_deliveries, operate
from tests.factories import accept_one, metric
from tests.servers import wait_until
from tests.system import System

LEASE = dt.timedelta(seconds=60)
HOUR = dt.timedelta(hours=1)
PATH = "/v1/dead-letters"


def bury(bridge: System, count: int, message: str) -> str:
    """Make so many writes of a new run dead letters, and return the run."""
    run_id = bridge.create_run()
    client = connect(bridge.store_url, timeout=LEASE, connections=2)
    outbox = RedisOutbox(client, retention=HOUR, idempotency_ttl=HOUR)
    with no_deliveries(bridge):
        for step in range(count):
            accept_one(outbox, metric(step, run_id=run_id), client="anonymous")
        claim = outbox.claim(run_id, lease=LEASE)
        assert claim
        dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message=message)
        outbox.settle(claim, Settlement(count=count, attempts=1, dead_lettering=dead_lettering), lease=LEASE)
    disconnect(client, in_use=True)
    return run_id


def call(bridge: System, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
    # Each on a connection of its own: the api that the last one led to may be gone.
    return requests.request(method, bridge.url + path, json=body, timeout=30)


def begun(bridge: System, run_id: str, rate: float) -> str:
    """The path of a new replay of the letters of a run."""
    answer = call(bridge, "POST", f"{PATH}/replay", {"filter": {"run_id": run_id}, "rate": rate})
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def state(bridge: System, place: str) -> dict[str, Any]:
    found: dict[str, Any] = call(bridge, "GET", place).json()
    return found


def steps(bridge: System, run_id: str) -> list[int]:
    return sorted(int(point["step"]) for point in bridge.history(run_id, "m"))


def test_an_order_is_refused_when_the_count_has_changed_and_the_answer_has_the_new_one(bridge: System) -> None:
    run_id = bury(bridge, 7, "down")
    wanted = {"run_id": run_id}
    counted = call(bridge, "POST", f"{PATH}/replay", {"filter": wanted, "dry_run": True}).json()["count"]
    [letter] = call(bridge, "GET", f"{PATH}?run_id={run_id}&limit=1&order=newest").json()["letters"]
    assert call(bridge, "DELETE", f"{PATH}/{letter['letter_id']}").status_code == 204

    refusals = [
        call(bridge, "POST", f"{PATH}/{action}", {"filter": wanted, "count": counted})
        for action in ("replay", "discard")
    ]
    in_a_command = operate(bridge, "dead-letters", "replay", "--run", run_id, "--count", "7", status=1)
    discarded = operate(bridge, "dead-letters", "discard", "--run", run_id, "--count", "6")

    assert counted == 7
    assert [(answer.status_code, answer.json()["count"]) for answer in refusals] == [(409, 6)] * 2
    assert '"count": 6' in in_a_command
    assert "6 of 6 dead letters: discard finished" in discarded


def test_the_rate_of_a_drain_is_changed_in_its_middle(bridge: System) -> None:
    run_id = bury(bridge, 300, "down")
    place = begun(bridge, run_id, rate=2)
    drain_id = place.rpartition("/")[2]
    wait_until(lambda: state(bridge, place)["done"] > 0)
    before = state(bridge, place)

    changed = operate(bridge, "drains", "rate", drain_id, "1000")
    wait_until(lambda: state(bridge, place)["state"] == "finished", timeout=15)
    ended = state(bridge, place)
    listed = [json.loads(line) for line in operate(bridge, "drains", "list", "--json").splitlines()]
    bridge.drained()

    assert before["done"] < 100
    assert "1000.0" in changed
    # On a busy machine a worker takes over from one that is slow, and skips what that one has just replayed.
    assert (ended["done"] + ended["skipped"], ended["ordered_by"]) == (300, "anonymous")
    assert ended["finished_at"] > ended["began_at"]
    assert listed[0]["drain_id"] == drain_id
    assert "finished" in operate(bridge, "drains", "show", drain_id)
    assert "is not running" in operate(bridge, "drains", "rate", drain_id, "--unlimited", status=1)
    assert "not running" in operate(bridge, "drains", "cancel", drain_id, status=1)
    assert steps(bridge, run_id) == list(range(300))


@pytest.mark.full
def test_a_drain_goes_on_after_the_api_the_workers_and_the_store_were_ended_in_its_middle(bridge: System) -> None:
    run_id, wanted = bury(bridge, 1000, "down"), {"dry_run": True}
    place = begun(bridge, run_id, rate=20)

    def moves_on_from(done: int) -> int:
        wait_until(lambda: state(bridge, place)["done"] > done, timeout=60)
        found = state(bridge, place)
        assert found["state"] == "running"
        assert found["total"] == 1000
        return int(found["done"])

    done = moves_on_from(0)
    bridge.api.kill()
    bridge.api.start()
    done = moves_on_from(done)
    for worker in bridge.workers:
        worker.kill()
    stopped = state(bridge, place)
    for worker in bridge.workers:
        worker.start()
    done = moves_on_from(stopped["done"])
    bridge.store.kill()
    while_down = call(bridge, "GET", place)
    bridge.store.start()
    wait_until(lambda: call(bridge, "GET", place).status_code == 200)
    moves_on_from(done)
    call(bridge, "PATCH", place, {"rate": None})
    wait_until(lambda: state(bridge, place)["state"] == "finished", timeout=60)
    bridge.drained()

    assert stopped["state"] == "running"
    assert while_down.status_code == 503
    assert state(bridge, place)["done"] + state(bridge, place)["skipped"] == 1000
    assert call(bridge, "POST", f"{PATH}/replay", {"filter": {"run_id": run_id}} | wanted).json() == {"count": 0}
    assert steps(bridge, run_id) == list(range(1000))


def test_the_causes_of_letters_are_shown_and_drained_one_by_one(bridge: System) -> None:
    run_id = bridge.create_run()
    for value in ("first", "second", "third"):
        job_id = bridge.log("log-parameter", {"run_id": run_id, "key": "p", "value": value}).headers["Job-Id"]
        bridge.job(job_id)
    refused = ("--run", run_id, "--op", "log-parameter", "--error-code", "INVALID_PARAMETER_VALUE")

    summary = operate(bridge, "dead-letters", "summary", "--run", run_id)
    newest = operate(bridge, "dead-letters", "list", *refused, "--newest", "--limit", "1")
    letter_id = newest.split()[0]
    conflicts = operate(bridge, "dead-letters", "conflicts", letter_id)
    request_id = json.loads(operate(bridge, "dead-letters", "show", letter_id, "--json"))["request_id"]
    found = operate(bridge, "jobs", "find", "--request-id", request_id)
    other = operate(bridge, "dead-letters", "discard", "--run", run_id, "--op", "set-tag", "--dry-run")
    discarded = operate(bridge, "dead-letters", "discard", *refused, "--count", "2")

    assert summary.startswith("2 dead letters\n")
    assert "refused  log-parameter  INVALID_PARAMETER_VALUE" in summary
    assert "param p: first -> third" in conflicts
    assert "dead  log-parameter" in found
    assert other == "0 dead letters\n"
    assert "2 of 2 dead letters: discard finished" in discarded
