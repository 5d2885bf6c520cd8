# SPDX-License-Identifier: Apache-2.0
"""Runs that clients name themselves: ``POST /v1/runs`` accepts the creation of one."""

import asyncio

import msgspec

from api.auth.experiment_scope import ExperimentScope
from api.http.preferences import read_preferences
from api.http.request import Request
from api.http.response import Response
from api.intake.writes import Writes
from bridge.bootstrap.processes import Api
from schemas.bodies.named_run import RunDocument, RunState
from schemas.job import JobDocument, JobStatus
from schemas.lane import named_run
from schemas.write import Op

PATH = "/v1/runs"


class Runs:
    """Answers requests for new runs."""

    def __init__(self, bridge: Api, writes: Writes, limits: ExperimentScope) -> None:
        self._bridge = bridge
        self._limits = limits
        self._writes = writes

    async def accept(self, request: Request) -> Response:
        """Accept the creation of a run, and answer with what is known of it; with ``wait=N``, once it is settled."""
        accepted, headers = await self._writes.take(Op.CREATE_RUN, request)
        run_id = await asyncio.to_thread(self._bridge.names.run_id, accepted.lane)
        wait = read_preferences(request.header(b"prefer")).wait
        document = None
        if wait and run_id is None:
            headers = (*headers, ("Preference-Applied", f"wait={wait.seconds}"))
            document = await self._writes.settled(accepted, request.client.name, wait)
        named = named_run(accepted.lane)
        if named is None:
            raise AssertionError(accepted.lane)
        existed, state = run_id is not None, RunState.CREATED if run_id else _state(document)
        if state is RunState.CREATED and not existed:
            run_id = await asyncio.to_thread(self._bridge.names.run_id, accepted.lane)
        if run_id is not None and request.client.experiments is not None:
            # Somebody else's, of the same name, may have come first.
            await self._limits.check_run(request, run_id)
        known = RunDocument(run=named.name, state=state, run_id=run_id, job_id=accepted.job_id)
        location = ("Location", f"{PATH}/{named.name}")
        headers = (location, *(pair for pair in headers if pair[0] != "Location"))
        return Response(200 if existed else 201 if run_id else 202, msgspec.json.encode(known), headers=headers)


def _state(document: JobDocument | None) -> RunState:
    match document:
        case JobDocument(status=JobStatus.DELIVERED):
            return RunState.CREATED
        case JobDocument(status=JobStatus.DEAD | JobStatus.DISCARDED):
            return RunState.DEAD
    return RunState.PENDING
