# SPDX-License-Identifier: Apache-2.0
"""Runs that clients name themselves: ``POST /v1/runs`` has one created, ``GET /v1/runs/{name}`` tells its id."""

import asyncio
import datetime as dt

import msgspec
from flask import Blueprint, Response, abort, request

from api.bulkhead import Bulkhead
from api.identity import whose
from api.incoming import Incoming
from api.limits import Limits
from api.prefer import read_preferences
from api.reply import Reply
from api.writes import Writes
from bridge.bootstrap import Api
from schemas.dead_letter import LetterFilter
from schemas.errors import InvalidWrite
from schemas.job import JobDocument, JobStatus
from schemas.lane import NamedRun, check_run_name, named_run
from schemas.run import RunDocument, RunState
from schemas.write import Op

PATH = "/v1/runs"

_MOST_LETTERS = 1000
#: How often it is looked whether a run has been created, for a client that waits.
_LOOK = dt.timedelta(milliseconds=100)


class Runs:
    """Answers requests for new runs."""

    def __init__(self, bridge: Api, writes: Writes, limits: Limits) -> None:
        self._bridge = bridge
        self._limits = limits
        self._writes = writes

    async def accept(self, request: Incoming) -> Reply:
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
        return Reply(200 if existed else 201 if run_id else 202, msgspec.json.encode(known), headers=headers)


def runs(bridge: Api, bulkhead: Bulkhead) -> Blueprint:
    """Return the routes of named runs."""
    blueprint = Blueprint("runs", __name__)

    @blueprint.get("/v1/runs/<path:name>")
    def show(name: str) -> Response:
        lane = _lane(name)
        wait = read_preferences(request.headers.get("Prefer")).wait
        run_id = bridge.names.run_id(lane)
        if run_id is None and not bridge.outbox.extents([lane])[lane].accepted:
            abort(404, "Nothing is known of a run of this name. POST /v1/runs has one created.")
        if run_id is None and wait and bulkhead.try_enter():
            try:
                run_id = _wait(bridge, lane, wait)
            finally:
                bulkhead.leave()
        document = (
            RunDocument(run=name, state=RunState.CREATED, run_id=run_id) if run_id else _without_run(bridge, name, lane)
        )
        return Response(msgspec.json.encode(document), content_type="application/json")

    return blueprint


def lane_of(name: str) -> str:
    """Return the lane of a run by the name that its client has given it, in the workspace that is asked for."""
    return NamedRun(check_run_name(name), request.headers.get("X-MLFLOW-WORKSPACE")).lane


def _lane(name: str) -> str:
    try:
        return lane_of(name)
    except InvalidWrite as error:
        abort(404, f"There can be no run of this name. {error.message}")


def _without_run(bridge: Api, name: str, lane: str) -> RunDocument:
    """Tell of a name that has no run whether it may still come to have one."""
    if not bridge.outbox.extents([lane])[lane].pending:
        letters = bridge.draining.letters.page(LetterFilter(lane=lane), after=None, limit=_MOST_LETTERS).letters
        for letter in (each for each in reversed(letters) if each.op is Op.CREATE_RUN):
            if whose() not in (None, letter.client):
                return RunDocument(run=name, state=RunState.DEAD)
            return RunDocument(run=name, state=RunState.DEAD, job_id=letter.job_id, why=letter.message)
    return RunDocument(run=name, state=RunState.PENDING)


def _wait(bridge: Api, lane: str, wait: dt.timedelta) -> str | None:
    end = bridge.clock.monotonic() + wait
    while True:
        run_id = bridge.names.run_id(lane)
        if run_id or bridge.clock.monotonic() >= end or bridge.stopping.wait(_LOOK.total_seconds()):
            return run_id


def _state(document: JobDocument | None) -> RunState:
    match document:
        case JobDocument(status=JobStatus.DELIVERED):
            return RunState.CREATED
        case JobDocument(status=JobStatus.DEAD | JobStatus.DISCARDED):
            return RunState.DEAD
    return RunState.PENDING
