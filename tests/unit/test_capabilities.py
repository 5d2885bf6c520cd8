# SPDX-License-Identifier: Apache-2.0
"""What upstream can do is found out at the start, and again after it was away or is another version."""

import threading

import pytest

from bridge.events import UpstreamExamined
from bridge.upstream import Call, Delivered, Denied, Outcome, Refused, Unavailable
from bridge.upstream.capabilities import UpstreamCapabilities
from schemas.upstream_limits import limits_of
from schemas.write import Op
from tests.fakes import Events, FakeUpstream

REFUSED = Refused(status=400, error_code="INVALID_PARAMETER_VALUE", message="run_id is missing")


class World:
    def __init__(self, stated: str | None = None) -> None:
        self.upstream, self.events = FakeUpstream(self.answer), Events()
        self.lacking: set[str] = set()
        self.outcome: Outcome = Unavailable(reason="status 404", status=404, missing=True)
        self.capabilities = UpstreamCapabilities(
            self.upstream, stated=stated, observe=self.events, stopping=threading.Event()
        )

    def answer(self, call: Call) -> Outcome:
        return self.outcome if call.path.rpartition("/")[2] in self.lacking else REFUSED


def test_before_it_is_known_upstream_is_taken_for_todays() -> None:
    capabilities = World().capabilities

    assert (capabilities.limits.tag_value, capabilities.limits.experiment_tag_value, capabilities.lacks) == (
        8000,
        20000,
        frozenset(),
    )


def test_it_is_asked_once_as_long_as_it_says_the_same() -> None:
    world = World()
    world.upstream.says, world.lacking = "2.16.2", {"outputs"}

    for _ in range(3):
        world.capabilities.examine()

    assert (world.capabilities.limits.tag_value, world.capabilities.lacks) == (5000, frozenset({Op.LOG_OUTPUTS}))
    assert world.events.of(UpstreamExamined) == [UpstreamExamined(version="2.16.2", lacks="outputs")]
    assert {call.body for call in world.upstream.calls} == {b"{}"}


@pytest.mark.parametrize("trouble", ["another version", "away"])
def test_it_is_asked_again_when_it_may_be_another_one(trouble: str) -> None:
    world = World()
    world.lacking = {"outputs", "traces"}
    world.capabilities.examine()
    before = world.capabilities.lacks

    world.lacking = set()
    if trouble == "away":
        world.upstream.reachable = False
        world.capabilities.examine()
        while_away = world.capabilities.lacks
        world.upstream.reachable = True
    else:
        world.upstream.says, while_away = "3.99.0", before
    world.capabilities.examine()

    assert before == while_away == {Op.LOG_OUTPUTS, Op.EXPORT_TRACES}
    assert world.capabilities.lacks == set()


@pytest.mark.parametrize(
    "outcome",
    [
        Delivered(status=200),
        Denied(reason="denied", action="LogOutputs", status=403),
        Unavailable(reason="status 503", status=503),
        Unavailable(reason="status 400", status=400, missing=True),
    ],
)
def test_only_a_path_that_is_not_known_is_taken_for_a_call_that_is_not_there(outcome: Outcome) -> None:
    world = World()
    world.lacking, world.outcome = {"outputs"}, outcome

    world.capabilities.examine()

    assert world.capabilities.lacks == set()


def test_what_the_operator_says_counts_for_an_upstream_that_says_nothing() -> None:
    world = World(stated="2.13.2")
    world.upstream.says = ""
    before = world.capabilities.limits.tag_value

    world.capabilities.examine()

    assert before == world.capabilities.limits.tag_value == 5000


@pytest.mark.parametrize(
    ("version", "tag", "experiment_tag"),
    [
        *(("2.13.2", 5000, 5000), ("2.16.2", 5000, 5000), ("2.17.0", 8000, 5000), ("3.15.2", 8000, 5000)),
        *(("3.16.0", 8000, 20000), ("3.17.2", 8000, 20000), ("10.0.0rc1", 8000, 20000), ("", 8000, 20000)),
    ],
)
def test_limits_by_version(version: str, tag: int, experiment_tag: int) -> None:
    found = limits_of(version)

    assert (found.tag_value, found.experiment_tag_value) == (tag, experiment_tag)
