# SPDX-License-Identifier: Apache-2.0
"""How the writes of a named run go out: which calls it takes, and what each answer to them comes to."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.upstream import Call, Delivered, Outcome, Refused, Unavailable, Unknown
from schemas.bodies.batchable import capture
from schemas.errors import InvalidWrite
from schemas.job import JobStatus
from schemas.lane import NamedRun, check_run_name, named_run
from schemas.write import Op, Write
from tests.factories import NOW
from tests.unit.lanes import Lane

NAME = "nightly/17"
LANE = NamedRun(NAME).lane
ABSENT = Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message="no such experiment")
TAKEN = Refused(status=400, error_code="RESOURCE_ALREADY_EXISTS", message="taken")
DOWN = Unavailable(reason="down", status=503)

Answers = dict[str, Any]


def create(**fields: Any) -> Write:
    return capture(Op.CREATE_RUN, json.dumps({"run": NAME} | fields).encode(), now=NOW)


def metric(step: int) -> Write:
    body = {"run": NAME, "key": "m", "value": step, "step": step, "timestamp": 1}
    return capture(Op.LOG_METRIC, json.dumps(body).encode(), now=NOW)


def found(run_id: str) -> Answers:
    return {"runs": [{"info": {"run_id": run_id}}]}


def made(run_id: str) -> Answers:
    return {"run": {"info": {"run_id": run_id}}}


def upstream(**answers: Any) -> Callable[[Call], Outcome]:
    """Answer each call by the last part of its path: a document, an outcome, or several of them in turn."""

    def answer(call: Call) -> Outcome:
        given = answers.get(call.path.split("?")[0].rsplit("/", 1)[1].replace("-", "_"), {})
        given = given.pop(0) if isinstance(given, list) else given
        return Delivered(status=200, body=json.dumps(given).encode()) if isinstance(given, dict) else given

    return answer


def delivered(lane: Lane) -> list[tuple[str, str]]:
    lane.delivery.deliver(LANE)
    return [(call.method, call.path.removeprefix("/api/2.0/mlflow")) for call in lane.upstream.calls]


def test_a_run_is_looked_for_then_created_and_its_writes_follow_under_its_id() -> None:
    lane = Lane(create(tags=[{"key": "team", "value": "a"}], start_time=5), metric(1), metric(2))
    lane.upstream.answer = upstream(create=made("id-1"))

    assert delivered(lane) == [("POST", "/runs/search"), ("POST", "/runs/create"), ("POST", "/runs/log-batch")]
    asked, batch = json.loads(lane.upstream.calls[1].body), json.loads(lane.upstream.calls[2].body)
    assert (asked["experiment_id"], asked["run_name"], asked["start_time"]) == ("0", NAME, 5)
    assert asked["tags"] == [{"key": "team", "value": "a"}, {"key": "mlflow-bridge.run", "value": NAME}]
    assert (batch["run_id"], len(batch["metrics"])) == ("id-1", 2)
    assert lane.names.run_id(LANE) == "id-1"
    assert lane.statuses() == [JobStatus.DELIVERED] * 3


def test_a_run_that_is_found_is_not_created_again() -> None:
    lane = Lane(create(), metric(1))
    lane.upstream.answer = upstream(search=found("id-2"))

    assert delivered(lane) == [("POST", "/runs/search"), ("POST", "/runs/log-metric")]
    assert lane.names.run_id(LANE) == "id-2"


def test_a_name_that_has_a_run_costs_no_call() -> None:
    lane = Lane(create())
    lane.names.bind(LANE, "id-3")

    assert delivered(lane) == []
    assert lane.statuses() == [JobStatus.DELIVERED]


@pytest.mark.parametrize("trouble", [DOWN, Unknown(reason="no answer")])
@pytest.mark.parametrize("where", ["search", "create"])
def test_after_a_call_that_did_not_get_through_it_begins_with_looking(trouble: Outcome, where: str) -> None:
    lane = Lane(create(), metric(1))
    lane.upstream.answer = upstream(**{where: trouble})
    first = delivered(lane)
    lane.upstream.calls.clear()
    lane.upstream.answer = upstream(search=found("id-4"))
    lane.expire_lease_of(LANE)

    assert first[-1] == ("POST", f"/runs/{where}")
    assert delivered(lane)[0] == ("POST", "/runs/search")
    assert lane.statuses() == [JobStatus.DELIVERED] * 2


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ({"get_by_name": {"experiment": {"experiment_id": "7"}}}, ["get-by-name"]),
        ({"get_by_name": ABSENT, "create": [{"experiment_id": "7"}, made("r")]}, ["get-by-name", "create"]),
        (
            {"get_by_name": [ABSENT, {"experiment": {"experiment_id": "7"}}], "create": [TAKEN, made("r")]},
            ["get-by-name", "create", "get-by-name"],
        ),
    ],
    ids=["there", "new", "just created by another"],
)
def test_an_experiment_is_found_or_created_by_its_name(answers: Answers, calls: list[str]) -> None:
    lane = Lane(create(experiment_name="a b/c"))
    lane.upstream.answer = upstream(**({"create": made("r")} | answers))

    paths = [path for _, path in delivered(lane)]

    named = "?experiment_name=a%20b%2Fc"
    assert paths[:-2] == [f"/experiments/{call}{named if call == 'get-by-name' else ''}" for call in calls]
    assert json.loads(lane.upstream.calls[-1].body)["experiment_id"] == "7"


def test_what_is_written_to_a_name_without_a_run_is_buried_with_the_reason() -> None:
    lane = Lane(metric(1), metric(2), create(), metric(3))
    lane.upstream.answer = upstream(create=made("id-5"))

    lane.delivery.deliver(LANE)

    assert lane.statuses() == [JobStatus.DEAD] * 2 + [JobStatus.DELIVERED] * 2
    document = lane.outbox.job(lane.jobs[0], client="a")
    assert document
    assert document.error
    assert "No run is named 'nightly/17'" in document.error.message


def test_a_refused_creation_is_buried() -> None:
    lane = Lane(create(experiment_id="9"))
    lane.upstream.answer = upstream(create=Refused(status=400, error_code="BAD_REQUEST", message="no experiment"))

    lane.delivery.deliver(LANE)

    assert lane.statuses() == [JobStatus.DEAD]


@pytest.mark.parametrize("name", ["a", "nightly-2026-11-20/part-17", "A.b:c@d=e+f/g", "x" * 200])
def test_a_name_finds_its_way_through_its_lane(name: str) -> None:
    for workspace in (None, "team/a@b"):
        run = NamedRun(check_run_name(name), workspace)
        assert named_run(run.lane) == run
        assert "/" not in run.lane


@pytest.mark.parametrize(
    "name",
    [
        *("", None, 7, "/a", "a/", "a//b", "a/./b", "a/../b", "-a", "a'b", "a`b", "a b", "ä", "x" * 201, "a/backlog"),
        "0" * 32,
    ],
)
def test_a_name_that_would_not_be_found_again_is_refused(name: object) -> None:
    with pytest.raises(InvalidWrite):
        check_run_name(name)


def test_that_a_search_was_answered_does_not_count_as_a_write_that_got_through() -> None:
    lane = Lane(create())
    lane.upstream.answer = upstream(create=made("id-6"))

    delivered(lane)

    assert lane.flow_control.of_reads == [True, False]


@pytest.mark.parametrize(
    ("op", "body"),
    [
        (Op.SET_TAG, {"key": "mlflow-bridge.run", "value": "another/run"}),
        (Op.LOG_BATCH, {"tags": [{"key": "a", "value": "b"}, {"key": "mlflow-bridge.run", "value": "another/run"}]}),
        (Op.DELETE_TAG, {"key": "mlflow-bridge.run"}),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["by name", "by id"])
def test_the_tag_by_which_a_run_is_found_is_not_for_clients(op: Op, body: dict[str, Any], named: object) -> None:
    run = {"run": NAME} if named else {"run_id": "0" * 32}

    with pytest.raises(InvalidWrite, match="bridge's own"):
        capture(op, json.dumps(run | body).encode(), now=NOW)
