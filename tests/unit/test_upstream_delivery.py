# SPDX-License-Identifier: Apache-2.0
"""What a person is told of why its writes are not in MLflow yet."""

import datetime as dt
from typing import Literal

import pytest

from api.routes.own import upstream_delivery
from bridge.outbox import ClientBacklog
from bridge.upstream.flow_control import FlowControlState, Pause
from schemas.session import UpstreamDelivery
from tests.factories import NOW

LATER = NOW + dt.timedelta(seconds=20)


def backlog(*failures: str) -> ClientBacklog:
    return ClientBacklog(
        lanes=1,
        writes=1,
        bytes=1,
        oldest_accepted_at=NOW,
        is_complete=True,
        failures=failures,
        next_attempt_at=LATER if failures else None,
    )


def state(
    breaker: Literal["closed", "open"] = "closed", *, rate: float | None = None, paused: Pause | None = None
) -> FlowControlState:
    return FlowControlState(
        breaker=breaker,
        reason=None if breaker == "closed" else "503",
        opens_again_at=None if breaker == "closed" else LATER,
        rate=rate,
        delivered_at=NOW,
        paused=paused,
    )


@pytest.mark.parametrize(
    ("pending", "upstream", "told"),
    [
        (backlog(), state(), UpstreamDelivery(delivering=True)),
        (backlog(), state(rate=25.0), UpstreamDelivery(delivering=True)),
        (backlog(), state(rate=5.0), UpstreamDelivery(delivering=True, reason="throttled")),
        (
            backlog("unavailable"),
            state("open"),
            UpstreamDelivery(delivering=False, reason="breaker-open", since=NOW, next_attempt_at=LATER),
        ),
        (
            backlog("denied"),
            state(),
            UpstreamDelivery(delivering=False, reason="denied", since=NOW, next_attempt_at=LATER),
        ),
        (
            backlog("unavailable"),
            state("open", paused=Pause(why="w", by="anna", since=NOW, until=LATER)),
            UpstreamDelivery(delivering=False, reason="paused", since=NOW, next_attempt_at=LATER),
        ),
    ],
    ids=["well", "at full rate", "throttled", "breaker", "denied", "paused"],
)
def test_why_writes_wait_is_told(pending: ClientBacklog, upstream: FlowControlState, told: UpstreamDelivery) -> None:
    assert upstream_delivery(pending, upstream, 25.0) == told
