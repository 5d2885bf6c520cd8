# SPDX-License-Identifier: Apache-2.0
"""What a replay would overwrite is found by MLflow's own rules, and never shown to who may not read it."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.delivery.replay_conflicts import ReplayConflicts, overwrites
from bridge.process.clock import SystemClock
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable
from bridge.upstream.flow_control import Withheld
from bridge.upstream.sender import UpstreamSender
from schemas.bodies.batchable import capture
from schemas.client import Client
from schemas.dead_letter import Conflicts
from schemas.job import Job
from schemas.write import Op, Write
from tests.factories import NOW, RUN, job, metric, param, tag
from tests.fakes import Events, FakeGate, FakeUpstream

STORED = {
    "run": {
        "info": {"run_id": RUN, "experiment_id": "7", "status": "FINISHED", "end_time": 5, "run_name": "b"},
        "data": {
            "tags": [{"key": "team", "value": "b"}, {"key": "mlflow.runName", "value": "b"}],
            "params": [{"key": "p", "value": "1"}],
        },
    }
}
ANSWER = json.dumps(STORED).encode()
ASKING = Client(name="a")


def whole(op: Op, **fields: Any) -> Write:
    return capture(op, json.dumps({"run_id": RUN, **fields}).encode(), now=NOW)


def batch(**fields: Any) -> Write:
    return capture(Op.LOG_BATCH, json.dumps({"run_id": RUN, **fields}).encode(), now=NOW)


def found(write: Write) -> list[tuple[str, str, str | None, str | None]]:
    return [(each.kind, each.key, each.stored, each.letter) for each in overwrites(ANSWER, write)]


def test_a_tag_that_was_set_to_another_value_is_named() -> None:
    assert found(tag("team", "a")) == [("tag", "team", "b", "a")]
    assert found(tag("team", "b")) == found(tag("new", "a")) == []


def test_a_deleted_tag_is_named_with_what_it_is_now() -> None:
    assert found(whole(Op.DELETE_TAG, key="team")) == [("tag", "team", "b", None)]


def test_a_status_an_end_and_a_name_are_named() -> None:
    update = whole(Op.UPDATE_RUN, status="RUNNING", end_time=4, run_name="a")

    assert found(update) == [
        ("status", "status", "FINISHED", "RUNNING"),
        ("end_time", "end_time", "5", "4"),
        ("run_name", "run_name", "b", "a"),
    ]


def test_a_param_of_another_value_is_named_although_mlflow_keeps_it() -> None:
    assert found(param("p", "2")) == [("param", "p", "1", "2")]
    assert found(param("p", "1")) == found(param("q", "2")) == []


def test_each_part_of_a_batch_is_compared_and_metrics_overwrite_nothing() -> None:
    write = batch(tags=[{"key": "team", "value": "a"}], params=[{"key": "p", "value": "2"}])

    assert found(write) == [("tag", "team", "b", "a"), ("param", "p", "1", "2")]
    assert found(metric(1)) == []


@dataclass
class Letters:
    """One letter, after which its lane has accepted three writes."""

    found: Job | None
    pending: list[Job] = field(default_factory=list)

    def job(self, _: str) -> Job | None:
        return self.found

    def later_writes(self, _: Job) -> int:
        return 3

    def undelivered(self, _: str, **__: int) -> tuple[list[Job], None]:
        return self.pending, None

    def run_id(self, _: str) -> str | None:
        return None


def conflicts(
    outcome: Outcome, letters: Letters, *, gate: FakeGate | None = None, asked_by: Client | None = ASKING
) -> Conflicts | None:
    upstream: Any = FakeUpstream(lambda _: outcome)
    sender = UpstreamSender(
        upstream=upstream,
        flow_control=gate or FakeGate(),
        observe=Events(),
        clock=SystemClock(),
        stopping=threading.Event(),
    )
    port: Any = letters
    return ReplayConflicts(letters=port, outbox=port, names=port, sender=sender).of("x", asked_by=asked_by)


def test_what_is_pending_in_the_lane_counts_as_stored() -> None:
    letters = Letters(job(tag("team", "a")), pending=[job(tag("team", "c"), 2)])

    answer = conflicts(Delivered(status=200, body=ANSWER), letters)

    assert answer
    assert (answer.checked, answer.later_writes) == (True, 3)
    assert [each.stored for each in answer.overwrites] == ["c"]


@pytest.mark.parametrize(
    "outcome",
    [
        Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message="no such run"),
        Unavailable(reason="down"),
        Denied(reason="no", action="GetRun"),
    ],
)
def test_what_mlflow_does_not_show_is_not_compared_and_the_answer_says_why(outcome: Outcome) -> None:
    answer = conflicts(outcome, Letters(job(tag("team", "a"))))

    assert answer
    assert (answer.checked, answer.overwrites, answer.later_writes) == (False, [], 3)
    assert answer.why


def test_an_open_breaker_keeps_the_question_from_upstream() -> None:
    gate = FakeGate()
    gate.decision = Withheld(NOW - NOW, "down")

    answer = conflicts(Delivered(status=200, body=ANSWER), Letters(job(tag("team", "a"))), gate=gate)

    assert answer
    assert not answer.checked
    assert "breaker" in (answer.why or "")


@pytest.mark.parametrize("asked_by", [None, Client(name="a", experiments=frozenset({"8"}))])
def test_a_client_that_may_not_read_the_run_sees_no_stored_value(asked_by: Client | None) -> None:
    answer = conflicts(Delivered(status=200, body=ANSWER), Letters(job(tag("team", "a"))), asked_by=asked_by)

    assert answer
    assert (answer.checked, answer.overwrites) == (False, [])


def test_a_client_within_the_experiment_sees_it() -> None:
    asked_by = Client(name="a", experiments=frozenset({"7"}))

    answer = conflicts(Delivered(status=200, body=ANSWER), Letters(job(tag("team", "a"))), asked_by=asked_by)

    assert answer
    assert len(answer.overwrites) == 1


def test_there_is_nothing_to_say_of_a_letter_that_is_gone() -> None:
    assert conflicts(Delivered(status=200, body=ANSWER), Letters(None)) is None
