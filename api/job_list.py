# SPDX-License-Identifier: Apache-2.0
"""The jobs of one run that are not delivered: ``GET /v1/jobs?run_id=&status=``."""

import msgspec
from flask import Blueprint, Response, abort, request

from api.identity import whose
from api.runs import lane_of
from bridge.bootstrap import Api
from bridge.dead_letters import InvalidCursor
from schemas.dead_letter import LetterFilter
from schemas.job import JobPage, JobQuery

_BAD_CURSOR = "The cursor must be one that `next` has given."
_LONGEST_POSITION = 16


def job_list(bridge: Api) -> Blueprint:
    """Return the route of the list."""
    blueprint = Blueprint("job_list", __name__)

    @blueprint.get("/v1/jobs")
    def listed() -> Response:
        try:
            asked = msgspec.convert(request.args.to_dict(), JobQuery, strict=False)
        except msgspec.ValidationError as error:
            abort(400, f"The query is not valid: {error}. What was delivered is known by the ids of its jobs only.")
        read = _dead if asked.status == "dead" else _pending
        job_ids, cursor = read(bridge, _lane(asked), asked)
        found = (bridge.outbox.job(job_id, client=whose()) for job_id in job_ids)
        page = JobPage([document for document in found if document], cursor)
        return Response(msgspec.json.encode(page), content_type="application/json")

    return blueprint


def _lane(asked: JobQuery) -> str:
    named = [name for name in (asked.run_id, asked.run, asked.lane) if name]
    if len(named) != 1:
        abort(400, "Say whose jobs: one of run_id, run (a name of your own) or lane.")
    if asked.run:
        return lane_of(asked.run)
    return named[0]


def _pending(bridge: Api, lane: str, asked: JobQuery) -> tuple[list[str], str | None]:
    cursor = asked.cursor or "0"
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > _LONGEST_POSITION:
        abort(400, _BAD_CURSOR)
    found, last = bridge.outbox.pending_jobs(lane, client=whose(), after=int(cursor), limit=asked.limit)
    return found, None if last is None else str(last)


def _dead(bridge: Api, lane: str, asked: JobQuery) -> tuple[list[str], str | None]:
    try:
        wanted = LetterFilter(lane=lane, client=whose())
        page = bridge.draining.letters.page(wanted, after=asked.cursor, limit=asked.limit)
    except InvalidCursor:
        abort(400, _BAD_CURSOR)
    return [letter.job_id for letter in page.letters], page.next
