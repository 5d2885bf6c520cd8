# SPDX-License-Identifier: Apache-2.0
"""Runs that clients name themselves: ``GET /v1/runs/{name}`` answers the run's id and state."""

import datetime as dt

import msgspec
from flask import Blueprint, Response, abort, request

from api.http.polling import Bulkhead
from api.http.preferences import read_preferences
from api.routes.context import visible_client
from bridge.bootstrap.processes import Api
from schemas.bodies.named_run import RunDocument, RunState
from schemas.dead_letter import LetterFilter
from schemas.errors import InvalidWrite
from schemas.lane import NamedRun, check_run_name
from schemas.write import Op

_MOST_LETTERS = 1000
#: How often it is looked whether a run has been created, for a client that waits.
_LOOK = dt.timedelta(milliseconds=100)


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
        letters = bridge.dead_letters.letters.page(LetterFilter(lane=lane), after=None, limit=_MOST_LETTERS).letters
        for letter in (each for each in reversed(letters) if each.op is Op.CREATE_RUN):
            if visible_client() not in (None, letter.client):
                return RunDocument(run=name, state=RunState.DEAD)
            return RunDocument(run=name, state=RunState.DEAD, job_id=letter.job_id, reason=letter.message)
    return RunDocument(run=name, state=RunState.PENDING)


def _wait(bridge: Api, lane: str, wait: dt.timedelta) -> str | None:
    end = bridge.clock.monotonic() + wait
    while True:
        run_id = bridge.names.run_id(lane)
        if run_id or bridge.clock.monotonic() >= end or bridge.stopping.wait(_LOOK.total_seconds()):
            return run_id
