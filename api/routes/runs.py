# SPDX-License-Identifier: Apache-2.0
"""``GET /v1/runs/{run}``: the id and state of a run that a client has named itself."""

from flask import Response, abort, request

from api.http.polling import BlockingPoll
from api.http.preferences import read_preferences
from api.http.routing import Route
from api.routes.context import visible_client
from api.routes.json_bodies import json_response
from bridge.outbox import Outbox, RunNames
from bridge.outbox.dead_letters import DeadLetters
from schemas.bodies.named_run import RunDocument, RunState
from schemas.client import Scope
from schemas.dead_letter import LetterFilter
from schemas.endpoints import ExperimentRule
from schemas.errors import InvalidWrite
from schemas.lane import NamedRun, check_run_name
from schemas.write import Op

#: The dead letter of a failed creation is searched among the first letters of its lane, up to this number.
_MAX_LETTERS = 1000


class RunRoutes:
    """Serves named runs."""

    def __init__(self, outbox: Outbox, names: RunNames, letters: DeadLetters, poll: BlockingPoll) -> None:
        self._outbox = outbox
        self._names = names
        self._letters = letters
        self._poll = poll

    @Route(
        "GET",
        "/v1/runs/<path:run>",
        summary="The run with a name of the client's own",
        action="GetRun",
        scope=Scope.READ,
        experiments=ExperimentRule.RUN,
        answers={200: RunDocument},
        prefers=("wait=N",),
        problems=(404,),
    )
    def show(self, run: str) -> Response:
        """Return a run by its name; with ``wait=N``, once it is created."""
        lane = _lane_or_abort(run)
        run_id = self._names.run_id(lane)
        if run_id is None:
            if not self._outbox.extents([lane])[lane].accepted:
                abort(404, "There is no run of this name. POST /v1/runs creates one.")
            wait = read_preferences(request.headers.get("Prefer")).wait
            run_id = self._poll.until(lambda: self._names.run_id(lane), lambda found: found is not None, max_wait=wait)
        if run_id:
            return json_response(RunDocument(run=run, state=RunState.CREATED, run_id=run_id))
        return json_response(self._document_without_id(run, lane))

    def _document_without_id(self, run: str, lane: str) -> RunDocument:
        """Return the document of a run that does not exist: its creation is pending, or has failed."""
        if not self._outbox.extents([lane])[lane].pending:
            letters = self._letters.page(LetterFilter(lane=lane), after=None, limit=_MAX_LETTERS).letters
            for letter in (each for each in reversed(letters) if each.op is Op.CREATE_RUN):
                if visible_client() not in (None, letter.client):
                    # Another client's letter: its id and its reason are not shown.
                    return RunDocument(run=run, state=RunState.DEAD)
                return RunDocument(run=run, state=RunState.DEAD, job_id=letter.job_id, reason=letter.message)
        return RunDocument(run=run, state=RunState.PENDING)


def lane_of(name: str) -> str:
    """Return the lane of a named run in the workspace of the request, or raise ``InvalidWrite`` for an invalid name."""
    return NamedRun(check_run_name(name), request.headers.get("X-MLFLOW-WORKSPACE")).lane


def _lane_or_abort(name: str) -> str:
    try:
        return lane_of(name)
    except InvalidWrite as error:
        abort(404, f"No run can have this name. {error.message}")
