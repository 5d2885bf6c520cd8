# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the ports that tests of use cases don't want to be real."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fakeredis

from bridge.dispatch import QUEUE_COUNT, DispatchCapacity
from bridge.events import Event
from bridge.upstream import Call, Delivered, Headers, Outcome
from bridge.upstream.flow_control import Decision, FlowControlState, Pause, Permit, Withheld

E = TypeVar("E", bound=Event)


class FakeStore(fakeredis.FakeRedis):
    """A store in memory. fakeredis does not know the first line of a script that says what the store may do with it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"version": (7,)} | options)

    def register_script(self, script: Any) -> Any:
        return super().register_script(script.replace("#!lua", "-- lua", 1))


class FakeDispatch:
    """Remembers hints."""

    def __init__(self, capacity: int = 100) -> None:
        self.lanes: list[str] = []
        self.clients: list[str] = []
        self._capacity = capacity

    def lane_due(self, lane: str, client: str) -> None:
        self.lanes.append(lane)
        self.clients.append(client)

    def capacity(self) -> DispatchCapacity:
        return DispatchCapacity([self._capacity] * QUEUE_COUNT)

    def ping(self) -> bool:
        return True


def respond_at_once(
    descriptor: int,  # noqa: ARG001 - as AwaitResponse says
    timeout_s: float,  # noqa: ARG001
    on_response: Callable[[], None],
    on_timeout: Callable[[], None],  # noqa: ARG001
) -> None:
    """Wait for the response of a store without an event loop: the first read of it waits."""
    on_response()


class FakeUpstream:
    """Answers calls as the test says, and remembers them."""

    def __init__(self, answer: Callable[[Call], Outcome] | None = None) -> None:
        self.calls: list[Call] = []
        #: The headers that came with each.
        self.followed: list[dict[str, str]] = []
        self.answer = answer or (lambda _: Delivered(status=200))
        self.reachable = True
        self.says = "3.17.2"

    def send(self, call: Call, trace_headers: Headers = ()) -> Outcome:
        self.calls.append(call)
        self.followed.append(dict(trace_headers))
        return self.answer(call)

    def version(self) -> str | None:
        return self.says if self.reachable else None

    def probe(self) -> Mapping[str, object]:
        return {"reachable": self.reachable}


class FakeGate:
    """Lets every call through at once, unless the test says otherwise."""

    def __init__(self) -> None:
        self.decision: Decision = Permit(dt.timedelta())
        self.reported: list[Outcome] = []
        self.of_reads: list[bool] = []
        self.others_get_through = False
        self.of_denied: list[bool] = []
        self.paused: Pause | None = None

    def acquire(self, *, denied: bool = False, delivers: bool = True) -> Decision:
        self.of_denied.append(denied)
        if self.paused and delivers:
            return Withheld(dt.timedelta(), "paused", by_pause=True)
        return self.decision

    def record(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:  # noqa: ARG002 - part of FlowControl
        self.reported.append(outcome)
        self.of_reads.append(of_read)

    def delivered_since(self, moment: dt.datetime) -> bool:  # noqa: ARG002 - part of FlowControl
        return self.others_get_through

    def state(self) -> FlowControlState:
        return FlowControlState(breaker="closed", reason=None, opens_again_at=None, rate=None, paused=self.paused)

    def is_paused(self) -> bool:
        return self.paused is not None

    def pause(self, *, why: str, by: str, until: dt.datetime | None) -> None:
        self.paused = Pause(why=why, by=by, since=dt.datetime.now(dt.UTC), until=until)

    def resume(self) -> None:
        self.paused = None


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, time: dt.datetime) -> None:
        self.time = time

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> dt.timedelta:
        return self.time - dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def pass_(self, span: dt.timedelta) -> None:
        self.time += span


class Events:
    """Observes, and lets a test look."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self.seen.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.seen if isinstance(event, kind)]
