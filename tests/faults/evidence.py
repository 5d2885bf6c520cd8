# SPDX-License-Identifier: Apache-2.0
"""All that is known once the backlog has drained: what clients sent, what reached MLflow, what MLflow now holds."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.entities import Entity, carried, metric, param, tag
from tests.faults.load import Sent
from tests.signature_front import Call
from tests.system import System

#: How the last part of the path of each call that logs begins.
_LOGGING = ("log-", "set-tag")

#: How often the bridge is asked for a job at most.
_MOST_QUESTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A call that logs, as it came to the front of MLflow."""

    run_id: str
    entities: tuple[Entity, ...]
    #: What MLflow answered, if it was asked at all.
    upstream_status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What `tests.faults.verdict` judges."""

    sent: Sequence[Sent]
    arrivals: Sequence[Arrival]
    #: What MLflow itself says that each run has, and how often.
    held: Mapping[str, Counter[Entity]]
    #: What the bridge says of each job; ``not told`` and the answer if it says nothing.
    statuses: Mapping[str, str]


def gather(system: System, sent: Sequence[Sent], calls: Sequence[Call]) -> Evidence:
    """Read everything back, past the bridge and the front; only what became of the jobs is the bridge's to say."""
    runs = {one.run_id for one in sent}
    return Evidence(
        sent=sent,
        arrivals=[arrival for arrival in map(_arrival, filter(_logs, calls)) if arrival.run_id in runs],
        held={run_id: _held(system, run_id) for run_id in runs},
        statuses={one.job_id: _status(system, one.job_id) for one in sent if one.job_id},
    )


def _logs(call: Call) -> bool:
    return _last_part(call).startswith(_LOGGING)


def _arrival(call: Call) -> Arrival:
    body = json.loads(call.body)
    return Arrival(
        run_id=body["run_id"],
        entities=tuple(carried(_last_part(call), body)),
        upstream_status=call.upstream_status,
    )


def _last_part(call: Call) -> str:
    return call.path.rpartition("/runs/")[2]


def _held(system: System, run_id: str) -> Counter[Entity]:
    held = system.run(run_id)["data"]
    keys = {point["key"] for point in held.get("metrics", [])}
    points = [metric(point) for key in keys for point in system.history(run_id, key)]
    return Counter([*points, *map(param, held.get("params", [])), *map(tag, held.get("tags", []))])


def _status(system: System, job_id: str) -> str:
    """What the bridge says of the job, which it may be too busy to say at once."""
    for _ in range(_MOST_QUESTIONS):
        answer = system.http.get(f"{system.url}/v1/jobs/{job_id}", timeout=30)
        if answer.status_code == 200:
            return str(answer.json()["status"])
        if answer.status_code != 503:
            break
        # Whatever holds it up, such as this machine, is soon over.
        time.sleep(0.5)
    return f"not told, {answer.status_code}: {answer.text}"
