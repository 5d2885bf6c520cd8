# SPDX-License-Identifier: Apache-2.0
"""Delivers the writes of named runs: creates the run once, and binds the client's name to MLflow's run id.

MLflow creates a new run for each ``runs/create``. So the run carries its name in a tag, and is searched for by this tag
before it is created: after an attempt without an answer, after a crash, and for a repeated request. One case remains:
upstream may execute a creation only after the bridge has timed out and searched (docs/adr/0011).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.delivery.batching import calls_for, context_of_first
from bridge.outbox import Claim, RunNames
from bridge.upstream import Call, CallContext, Delivered, Outcome, Refused
from bridge.upstream.flow_control import Withheld
from bridge.upstream.sender import Stopping, UpstreamSender
from schemas.bodies.named_run import DEFAULT_EXPERIMENT, NAME_TAG, CreateRun
from schemas.lane import named_run
from schemas.write import Op

_MLFLOW_API = "/api/2.0/mlflow"

#: The end of a call: its outcome, or why it was not sent.
Result = Outcome | Withheld | Stopping


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreation:
    """Sends the writes of named runs, in place of the deliverer's own call."""

    sender: UpstreamSender
    names: RunNames

    def send(self, claim: Claim, limit: int, renew: Callable[[], object]) -> tuple[Result, int]:
        """Send at most ``limit`` of the first jobs. Return the outcome and the number of jobs it is about.

        ``renew`` renews the lease. It is called between two calls, because a lease covers only one.
        """
        write, run_id = claim.jobs[0].write, self.names.run_id(claim.lane)
        if write.op is Op.CREATE_RUN:
            # A name stands for one run for ever, so a repeated creation returns the existing run.
            return (Delivered(status=200) if run_id else self._create(claim, renew)), 1
        if run_id is None:
            return _run_not_found(claim.lane), 1
        calls, count = calls_for(claim, limit, run_id)
        return self.sender.send(calls, context_of_first(claim, count), renew=renew), count

    def _create(self, claim: Claim, renew: Callable[[], object]) -> Result:
        """Find or create the run, and bind its name."""
        write = claim.jobs[0].write
        creation = msgspec.json.decode(write.single_body, type=CreateRun)
        mlflow = _MlflowCalls(self.sender, context_of_first(claim, 1), renew)
        experiment_id = creation.experiment_id or DEFAULT_EXPERIMENT
        if creation.experiment_name is not None:
            found_id = mlflow.get_or_create_experiment(creation.experiment_name)
            if not isinstance(found_id, str):
                return found_id
            experiment_id = found_id
        run_id = mlflow.search_run(creation.run, experiment_id)
        if run_id is None:
            run_id = mlflow.create_run(creation, experiment_id)
        if not isinstance(run_id, str):
            return run_id
        self.names.bind(write.lane, run_id)
        return Delivered(status=200)


@dataclass(frozen=True, slots=True)
class _MlflowCalls:
    """The MLflow calls of a run creation. Each returns an id, or the outcome of the call that failed."""

    sender: UpstreamSender
    context: CallContext
    renew: Callable[[], object]

    def get_or_create_experiment(self, name: str, *, retry: bool = True) -> str | Result:
        """Return the id of the experiment of this name; create it if there is none."""
        answer = self._send(f"/experiments/get-by-name?experiment_name={quote(name, safe='')}", "experiment")
        if isinstance(answer, dict):
            return str(answer["experiment"]["experiment_id"])
        if not (isinstance(answer, Refused) and answer.status == 404):
            return answer
        created = self._send("/experiments/create", "experiment_id", {"name": name})
        if isinstance(created, dict):
            return str(created["experiment_id"])
        # Another client has created it between the two calls.
        was_created = isinstance(created, Refused) and created.error_code == "RESOURCE_ALREADY_EXISTS"
        return self.get_or_create_experiment(name, retry=False) if was_created and retry else created

    def search_run(self, name: str, experiment_id: str) -> str | Result | None:
        """Return the id of the run of this name, None if there is none."""
        body = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{NAME_TAG}` = '{name}'",
            "run_view_type": "ALL",
            "max_results": 1,
            "order_by": ["attributes.start_time ASC"],
        }
        answer = self._send("/runs/search", "runs", body)
        if not isinstance(answer, dict):
            return answer
        runs = answer.get("runs")
        return str(runs[0]["info"]["run_id"]) if runs else None

    def create_run(self, creation: CreateRun, experiment_id: str) -> str | Result:
        """Create the run and return its id."""
        body = {
            "experiment_id": experiment_id,
            "run_name": creation.run_name or creation.run,
            "start_time": creation.start_time,
            "tags": [*creation.tags, {"key": NAME_TAG, "value": creation.run}],
        }
        answer = self._send("/runs/create", "run", body)
        return str(answer["run"]["info"]["run_id"]) if isinstance(answer, dict) else answer

    def _send(self, path: str, field: str, body: dict[str, Any] | None = None) -> dict[str, Any] | Result:
        """Return the body of upstream's response, which has this field, or the outcome if the call failed."""
        call = Call(
            method="GET" if body is None else "POST",
            path=_MLFLOW_API + path,
            body=b"" if body is None else msgspec.json.encode(body),
            workspace=self.context.jobs[0].write.workspace,
            response_field=field,
            reads=body is None or path.endswith("/search"),
        )
        self.renew()
        outcome = self.sender.send([call], self.context, renew=self.renew)
        return msgspec.json.decode(outcome.body, type=dict[str, Any]) if isinstance(outcome, Delivered) else outcome


def _run_not_found(lane: str) -> Refused:
    named = named_run(lane)
    name = named.name if named else lane
    text = f"No run is named '{name}': create it with POST /v1/runs, then replay this dead letter."
    return Refused(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message=text)
