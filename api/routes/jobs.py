# SPDX-License-Identifier: Apache-2.0
"""What became of a write, ``GET /v1/jobs/{id}``, or of many."""

import datetime as dt

import msgspec
from flask import Blueprint, Response, abort, request

from api.http.polling import Bulkhead
from api.http.preferences import read_preferences
from api.routes.context import visible_client
from api.routes.runs import lane_of
from bridge.bootstrap.processes import Api
from bridge.outbox.dead_letters import InvalidCursor
from schemas.bodies.byte_order_mark import strip_byte_order_mark
from schemas.dead_letter import LetterFilter
from schemas.job import JobDocument, JobDocuments, JobPage, JobQuery, JobStatus, Lookup

#: How often a waiting client's job is looked at: soon at first, then ever less often.
_FIRST_LOOK = dt.timedelta(milliseconds=20)
_LAST_LOOK = dt.timedelta(milliseconds=500)


def jobs(bridge: Api, bulkhead: Bulkhead) -> Blueprint:
    """Return the routes of jobs."""
    blueprint = Blueprint("jobs", __name__)

    @blueprint.get("/v1/jobs/<job_id>")
    def show(job_id: str) -> Response:
        wait = read_preferences(request.headers.get("Prefer")).wait
        document = _look(bridge, job_id)
        # Waiting is a preference: when too many wait already, the answer is how things stand now.
        if wait and document.status is JobStatus.PENDING and bulkhead.try_enter():
            try:
                document = _wait(bridge, job_id, wait)
            finally:
                bulkhead.leave()
        answer = Response(msgspec.json.encode(document), content_type="application/json")
        if wait is not None:
            answer.headers["Preference-Applied"] = f"wait={wait.seconds}"
        answer.headers["Vary"] = "Prefer"
        answer.headers["Cache-Control"] = "no-cache"
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    @blueprint.post("/v1/jobs/lookup")
    def lookup() -> Response:
        if request.mimetype != "application/json":
            abort(415, 'Send {"job_ids": [...]} with Content-Type: application/json.')
        try:
            asked = msgspec.json.decode(strip_byte_order_mark(request.get_data()), type=Lookup)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            abort(400, f"The body is not valid: {error}.")
        found = [bridge.outbox.job(job_id, client=visible_client()) for job_id in asked.job_ids]
        return Response(msgspec.json.encode(JobDocuments(found)), content_type="application/json")

    return blueprint


def _wait(bridge: Api, job_id: str, wait: dt.timedelta) -> JobDocument:
    end = bridge.clock.monotonic() + wait
    pause = _FIRST_LOOK
    while True:
        document = _look(bridge, job_id)
        left = end - bridge.clock.monotonic()
        if document.status is not JobStatus.PENDING or left <= dt.timedelta() or bridge.stopping.is_set():
            return document
        bridge.stopping.wait(min(pause, left).total_seconds())
        pause = min(pause * 1.5, _LAST_LOOK)


def _look(bridge: Api, job_id: str) -> JobDocument:
    document = bridge.outbox.job(job_id, client=visible_client())
    if document is None:
        abort(
            404,
            "There is no such job, or it was settled longer ago than the retention. Jobs answer only to the"
            " client that made them, and to operators.",
        )
    return document


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
        found = (bridge.outbox.job(job_id, client=visible_client()) for job_id in job_ids)
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
    found, last = bridge.outbox.pending_jobs(lane, client=visible_client(), after=int(cursor), limit=asked.limit)
    return found, None if last is None else str(last)


def _dead(bridge: Api, lane: str, asked: JobQuery) -> tuple[list[str], str | None]:
    try:
        wanted = LetterFilter(lane=lane, client=visible_client())
        page = bridge.dead_letters.letters.page(wanted, after=asked.cursor, limit=asked.limit)
    except InvalidCursor:
        abort(400, _BAD_CURSOR)
    return [letter.job_id for letter in page.letters], page.next
