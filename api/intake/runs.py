# SPDX-License-Identifier: Apache-2.0
"""``POST /v1/runs``: accepts the creation of a run under a name of the client's own."""

import asyncio
from functools import partial

import msgspec

from api.auth.experiment_scope import ExperimentScope
from api.http.preferences import read_preferences
from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import Response
from api.http.routing import Route
from api.intake.writes import Jobs, Writes, accepted_headers
from api.openapi.bodies import queued_content
from bridge.outbox import RunNames
from schemas.bodies.named_run import RunDocument, RunState
from schemas.client import Scope
from schemas.endpoints import ExperimentRule
from schemas.job import JobDocument, JobStatus
from schemas.lane import named_run
from schemas.write import Op

_PATH = "/v1/runs"


class RunCreations:
    """Serves ``POST /v1/runs``."""

    def __init__(self, writes: Writes, jobs: Jobs, names: RunNames, experiments: ExperimentScope) -> None:
        self._writes = writes
        self._jobs = jobs
        self._names = names
        self._experiments = experiments

    @Route(
        "POST",
        _PATH,
        summary="Create a run under a name of the client's own",
        action="CreateRun",
        scope=Scope.WRITE,
        experiments=ExperimentRule.RUN,
        is_queued=True,
        content=partial(queued_content, Op.CREATE_RUN),
        answers={200: RunDocument, 201: RunDocument, 202: RunDocument},
        prefers=("wait=N",),
        problems=(408, 413, 422),
    )
    async def create(self, request: Request, record: RequestRecord) -> Response:
        """Store the creation of a run and return what is known of the run; with ``wait=N``, once it is settled."""
        accepted, _ = await self._writes.accept(Op.CREATE_RUN, request, record)
        run_id = await asyncio.to_thread(self._names.run_id, accepted.lane)
        wait = read_preferences(request.header(b"prefer")).wait
        applied: tuple[tuple[str, str], ...] = ()
        document = None
        if wait and run_id is None:
            applied = (("Preference-Applied", f"wait={wait.seconds}"),)
            document = await self._jobs.wait_until_settled(accepted, request.client.name, wait)
        named = named_run(accepted.lane)
        if named is None:
            raise AssertionError(accepted.lane)
        existed = run_id is not None
        state = RunState.CREATED if existed else _state_after(document)
        if state is RunState.CREATED and not existed:
            run_id = await asyncio.to_thread(self._names.run_id, accepted.lane)
        if run_id is not None and request.client.experiments is not None:
            # Another client may have created a run of the same name first.
            await self._experiments.check_run(request, run_id)
        run = RunDocument(run=named.name, state=state, run_id=run_id, job_id=accepted.job_id)
        others = (pair for pair in accepted_headers(accepted) if pair[0] != "Location")
        headers = (("Location", f"{_PATH}/{named.name}"), *others, *applied)
        return Response(200 if existed else 201 if run_id else 202, msgspec.json.encode(run), headers=headers)


def _state_after(document: JobDocument | None) -> RunState:
    """Return the state of a run by the job that creates it; None stands for a job of unknown state."""
    match document:
        case JobDocument(status=JobStatus.DELIVERED):
            return RunState.CREATED
        case JobDocument(status=JobStatus.DEAD | JobStatus.DISCARDED):
            return RunState.DEAD
    return RunState.PENDING
