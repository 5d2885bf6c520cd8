# SPDX-License-Identifier: Apache-2.0
"""Delivers what is written to a run by the name that its client has given it: creates the run, and learns its id.

MLflow would create a run as often as it is asked to. So the run carries its name in a tag, and is looked for by that
before it is created: after an attempt that came to no answer, after a crash, and when the name is asked for again. What
no look can find is a creation that upstream carries out only after it was given up and looked for (docs/adr/0011).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.delivery.batching import calls_for, context_of_first
from bridge.outbox import Claim, RunNames
from bridge.upstream import Call, CallContext, Delivered, Outcome, Refused
from bridge.upstream.flow_control import Rejected
from bridge.upstream.sender import Stopping, UpstreamSender
from schemas.bodies.named_run import DEFAULT_EXPERIMENT, NAME_TAG, CreateRun
from schemas.lane import named_run
from schemas.write import Op

_API = "/api/2.0/mlflow"

Result = Outcome | Rejected | Stopping


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreation:
    """The way of the writes of named runs."""

    sender: UpstreamSender
    names: RunNames

    def send(self, claim: Claim, limit: int, renew: Callable[[], object]) -> tuple[Result, int]:
        """Send the first jobs, no more than ``limit`` of them, and return what came of it and how many those are.

        ``renew`` is called between two calls, for a lease covers only one.
        """
        write, run_id = claim.jobs[0].write, self.names.run_id(claim.lane)
        if write.op is Op.CREATE_RUN:
            # A name stands for one run for ever: to ask for it again is to ask for what is there.
            return (Delivered(status=200) if run_id else self._create(claim, renew)), 1
        if run_id is None:
            return _unnamed(claim.lane), 1
        calls, count = calls_for(claim, limit, run_id)
        return self.sender.send(calls, context_of_first(claim, count), renew=renew), count

    def _create(self, claim: Claim, renew: Callable[[], object]) -> Result:
        """Find the run, or create it, and bind its name."""
        write = claim.jobs[0].write
        asked = msgspec.json.decode(write.whole, type=CreateRun)
        steps = _Steps(self.sender, context_of_first(claim, 1), renew)
        experiment_id = asked.experiment_id or DEFAULT_EXPERIMENT
        if asked.experiment_name is not None:
            found = steps.experiment(asked.experiment_name)
            if not isinstance(found, str):
                return found
            experiment_id = found
        run_id = steps.find(asked.run, experiment_id)
        if run_id is None:
            run_id = steps.create(asked, experiment_id)
        if not isinstance(run_id, str):
            return run_id
        self.names.bind(write.lane, run_id)
        return Delivered(status=200)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The calls that it takes. Each returns what it wants to know, or why that is not known."""

    sender: UpstreamSender
    context: CallContext
    renew: Callable[[], object]

    def experiment(self, name: str, *, again: bool = True) -> str | Result:
        """Return the id of the experiment of this name, which is created if there is none."""
        answer = self._ask(f"/experiments/get-by-name?experiment_name={quote(name, safe='')}", "experiment")
        if isinstance(answer, dict):
            return str(answer["experiment"]["experiment_id"])
        if not (isinstance(answer, Refused) and answer.status == 404):
            return answer
        created = self._ask("/experiments/create", "experiment_id", {"name": name})
        if isinstance(created, dict):
            return str(created["experiment_id"])
        taken = isinstance(created, Refused) and created.error_code == "RESOURCE_ALREADY_EXISTS"
        # Somebody else has just created it.
        return self.experiment(name, again=False) if taken and again else created

    def find(self, name: str, experiment_id: str) -> str | Result | None:
        """Return the id of the run of this name, None if there is none."""
        wanted = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{NAME_TAG}` = '{name}'",
            "run_view_type": "ALL",
            "max_results": 1,
            "order_by": ["attributes.start_time ASC"],
        }
        answer = self._ask("/runs/search", "runs", wanted)
        if not isinstance(answer, dict):
            return answer
        runs = answer.get("runs")
        return str(runs[0]["info"]["run_id"]) if runs else None

    def create(self, asked: CreateRun, experiment_id: str) -> str | Result:
        """Create the run and return its id."""
        tags = [*asked.tags, {"key": NAME_TAG, "value": asked.run}]
        wanted = {
            "experiment_id": experiment_id,
            "run_name": asked.run_name or asked.run,
            "start_time": asked.start_time,
            "tags": tags,
        }
        answer = self._ask("/runs/create", "run", wanted)
        return str(answer["run"]["info"]["run_id"]) if isinstance(answer, dict) else answer

    def _ask(self, path: str, field: str, body: dict[str, Any] | None = None) -> dict[str, Any] | Result:
        """Return upstream's answer, which holds this field, or why there is none."""
        call = Call(
            method="GET" if body is None else "POST",
            path=_API + path,
            body=b"" if body is None else msgspec.json.encode(body),
            workspace=self.context.jobs[0].write.workspace,
            answer=field,
            reads=body is None or path.endswith("/search"),
        )
        self.renew()
        outcome = self.sender.send([call], self.context, renew=self.renew)
        return msgspec.json.decode(outcome.body, type=dict[str, Any]) if isinstance(outcome, Delivered) else outcome


def _unnamed(lane: str) -> Refused:
    named = named_run(lane)
    text = (
        f"There is no run of the name '{named.name if named else lane}': create it by POST /v1/runs, then replay this."
    )
    return Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message=text)
