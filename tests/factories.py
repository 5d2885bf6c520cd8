# SPDX-License-Identifier: Apache-2.0
"""Writes and jobs for tests, with as little said as the test needs."""

import datetime as dt
import json
from typing import Any

from bridge.outbox import Accepted, Offer, Outbox
from schemas.bodies.batchable import capture
from schemas.idempotency import Idempotency
from schemas.job import Job
from schemas.write import Op, Write

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
RUN = "0123456789abcdef0123456789abcdef"


def metric(step: int = 0, *, key: str = "m", run_id: str = RUN, **fields: Any) -> Write:
    body = {"run_id": run_id, "key": key, "value": step, "step": step, "timestamp": 1, **fields}
    return capture(Op.LOG_METRIC, json.dumps(body).encode(), now=NOW)


def param(key: str, value: str, *, run_id: str = RUN) -> Write:
    return capture(Op.LOG_PARAMETER, json.dumps({"run_id": run_id, "key": key, "value": value}).encode(), now=NOW)


def tag(key: str, value: str, *, run_id: str = RUN) -> Write:
    return capture(Op.SET_TAG, json.dumps({"run_id": run_id, "key": key, "value": value}).encode(), now=NOW)


def job(write: Write, position: int = 1) -> Job:
    return Job(write=write, lane=write.lane, position=position, accepted_at=NOW, client="a")


def accept_one(outbox: Outbox, write: Write, *, client: str, idempotency: Idempotency | None = None) -> Accepted:
    """Accept one write, or raise its verdict."""
    [verdict] = outbox.accept_all([Offer(write=write, client=client, idempotency=idempotency)])
    if isinstance(verdict, Accepted):
        return verdict
    raise verdict
