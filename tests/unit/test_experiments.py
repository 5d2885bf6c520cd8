# SPDX-License-Identifier: Apache-2.0
"""What is remembered of experiments, and what is asked once more."""

import datetime as dt
import json
import threading

import pytest

from bridge.auth.experiment_scope import ExperimentLookup
from bridge.errors import ExperimentUnknown, StoreUnavailable
from bridge.upstream import Call, Delivered, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Withheld
from bridge.upstream.sender import UpstreamSender
from schemas.bodies.references import Kind, Reference
from tests.factories import NOW, RUN
from tests.fakes import Events, FakeClock, FakeGate, FakeUpstream

SEVEN, EIGHT = frozenset({"7"}), frozenset({"8"})
THE_RUN = Reference(Kind.RUN, RUN)
NAME = Reference(Kind.NAME, "run:n")


class Memory:
    """The store, as far as it matters here."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.is_away = False

    def experiment_of(self, lane: str) -> str | None:
        return self.experiments.get(lane)

    def remember(self, lane: str, experiment_id: str) -> None:
        if self.is_away:
            raise StoreUnavailable
        self.experiments[lane] = experiment_id

    def run_id(self, lane: str) -> str | None:
        return self.runs.get(lane)

    def bind(self, lane: str, run_id: str) -> str:
        return self.runs.setdefault(lane, run_id)


class World:
    def __init__(self) -> None:
        self.memory, self.flow_control, self.clock = Memory(), FakeGate(), FakeClock(NOW)
        self.upstream = FakeUpstream(self.answer)
        self.outcome: Outcome | None = None
        sender = UpstreamSender(
            upstream=self.upstream,
            flow_control=self.flow_control,
            observe=Events(),
            clock=self.clock,
            stopping=threading.Event(),
        )
        self.experiments = ExperimentLookup(memory=self.memory, names=self.memory, sender=sender, clock=self.clock)

    def answer(self, _call: Call) -> Outcome:
        return self.outcome or Delivered(
            status=200, body=json.dumps({"run": {"info": {"experiment_id": "7"}}}).encode()
        )

    def is_within(self, subject: Reference = THE_RUN, among: frozenset[str] = SEVEN) -> bool:
        return self.experiments.is_within(subject, among, workspace="w")


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_within_is_asked_once_and_remembered_for_a_while(world: World) -> None:
    assert world.is_within()
    assert world.is_within()
    assert (len(world.upstream.calls), world.memory.experiments) == (1, {RUN: "7"})
    [call] = world.upstream.calls
    assert (call.method, call.path, call.workspace) == ("GET", f"/api/2.0/mlflow/runs/get?run_id={RUN}", "w")
    assert world.flow_control.of_reads == [True]
    assert world.experiments.is_seen_within(THE_RUN, SEVEN)
    world.clock.pass_(dt.timedelta(hours=1))
    assert not world.experiments.is_seen_within(THE_RUN, SEVEN)


def test_where_a_trace_is_is_asked_each_time_for_it_can_be_moved(world: World) -> None:
    trace = Reference(Kind.TRACE, "tr-1")
    told = [Delivered(status=200, body=b'{"trace_info": {"experiment_id": "%d"}}' % each) for each in (7, 8)]
    world.upstream.answer = lambda _: told.pop(0)

    assert [world.is_within(trace) for _ in range(2)] == [True, False]
    assert world.memory.experiments == {}


def test_what_is_not_within_is_asked_each_time_as_what_is_nowhere(world: World) -> None:
    world.is_within()
    assert [world.is_within(among=EIGHT) for _ in range(2)] == [False, False]
    assert len(world.upstream.calls) == 3
    assert world.memory.experiments == {RUN: "7"}


@pytest.mark.parametrize(
    "outcome",
    [
        Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message="no"),
        Unavailable(reason="no such call", missing=True),
        Delivered(status=200, body=b'{"run": {"info": "odd"}}'),
        Delivered(status=200, body=b'{"run": {"info": {"experiment_id": 7}}}'),
    ],
)
def test_what_there_is_not_is_not_within(world: World, outcome: Outcome) -> None:
    world.outcome = outcome

    assert not world.is_within()
    assert world.memory.experiments == {}


@pytest.mark.parametrize(
    "outcome", [Unavailable(reason="down"), Unavailable(reason="ours", identity_failed=True), Unknown(reason="cut")]
)
def test_what_upstream_does_not_tell_is_not_known(world: World, outcome: Outcome) -> None:
    world.outcome = outcome

    with pytest.raises(ExperimentUnknown):
        world.is_within()


def test_nobody_is_asked_while_the_gate_is_shut_and_what_the_store_knows_is_known(world: World) -> None:
    world.flow_control.decision = Withheld(dt.timedelta(seconds=9), "down")
    with pytest.raises(ExperimentUnknown):
        world.is_within()
    world.memory.experiments[RUN] = "7"

    assert world.is_within()
    assert world.upstream.calls == []


def test_a_store_that_can_not_remember_is_no_reason_to_refuse(world: World) -> None:
    world.memory.is_away = True

    assert world.is_within()


@pytest.mark.parametrize("odd", ["", "../x", "a/b", "a b", "a?x=1", "é", "x" * 257, "%2e"])
@pytest.mark.parametrize("kind", [Kind.RUN, Kind.TRACE, Kind.MODEL])
def test_an_id_that_no_thing_has_is_asked_of_nobody(world: World, kind: Kind, odd: str) -> None:
    assert not world.is_within(Reference(kind, odd))
    assert world.upstream.calls == []


def test_a_name_is_within_what_its_run_is_in_and_waits_for_a_run(world: World) -> None:
    assert not world.is_within(NAME)
    world.experiments.remember("run:n", "7")
    assert not world.is_within(NAME, EIGHT)
    with pytest.raises(ExperimentUnknown):
        world.is_within(NAME)
    world.memory.bind("run:n", RUN)
    assert (world.is_within(NAME), world.is_within(NAME, EIGHT)) == (True, False)


def test_a_name_may_be_asked_for_unless_another_experiments_run_has_it(world: World) -> None:
    asked_for = Reference(Kind.NEW_NAME, "run:n")

    assert world.is_within(asked_for)
    world.memory.bind("run:n", RUN)
    assert (world.is_within(asked_for), world.is_within(asked_for, EIGHT)) == (True, False)


def test_no_more_is_remembered_than_there_is_room_for(world: World) -> None:
    for number in range(10_001):
        world.experiments.learn(f"{number:032x}", "7")

    assert not world.experiments.is_seen_within(Reference(Kind.RUN, f"{0:032x}"), SEVEN)
    assert world.experiments.is_seen_within(Reference(Kind.RUN, f"{10_000:032x}"), SEVEN)
