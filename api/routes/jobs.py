# SPDX-License-Identifier: Apache-2.0
"""``/v1/jobs``: the state of one write or of many, and lists of pending and dead jobs."""

from typing import NamedTuple

import msgspec
from flask import Response, abort, request

from api.http.polling import BlockingPoll
from api.http.preferences import read_preferences
from api.http.routing import Route
from api.routes.context import client, visible_client
from api.routes.json_bodies import json_body, json_response
from api.routes.runs import lane_of
from bridge.outbox import Outbox
from bridge.outbox.dead_letters import DeadLetters, InvalidCursor
from bridge.outbox.job_search import JobSearch
from schemas.client import Scope
from schemas.dead_letter import LetterFilter
from schemas.endpoints import ExperimentRule
from schemas.job import JobDocument, JobDocuments, JobPage, JobQuery, JobStatus, Lookup

_INVALID_CURSOR = "The cursor must be the `next` of an earlier page."
_MAX_CURSOR_DIGITS = 16
#: The limit of the lanes of a client that one request reads.
_MAX_OWN_LANES = 1000
#: In a cursor: the end of the lane.
_PAST_EVERY_POSITION = 10**_MAX_CURSOR_DIGITS - 1


class _IdPage(NamedTuple):
    job_ids: list[str]
    #: The cursor of the next page, None at the end.
    next: str | None


class JobRoutes:
    """Serves ``/v1/jobs``. A client sees its own jobs, so the scope is that of writing. An operator sees all."""

    def __init__(self, outbox: Outbox, letters: DeadLetters, search: JobSearch, poll: BlockingPoll) -> None:
        self._outbox = outbox
        self._search = search
        self._letters = letters
        self._poll = poll

    @Route(
        "GET",
        "/v1/jobs/<job_id>",
        summary="The state of a write",
        action="GetJob",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        answers={200: JobDocument, 304: None},
        prefers=("wait=N",),
        problems=(404,),
    )
    def show(self, job_id: str) -> Response:
        """Return a job; with ``wait=N``, once it is settled."""
        wait = read_preferences(request.headers.get("Prefer")).wait
        document = self._poll.until(
            lambda: self._job(job_id), lambda found: found.status is not JobStatus.PENDING, max_wait=wait
        )
        response = json_response(document)
        if wait is not None:
            response.headers["Preference-Applied"] = f"wait={wait.seconds}"
        response.headers["Vary"] = "Prefer"
        return response

    @Route(
        "POST",
        "/v1/jobs/lookup",
        summary="The states of many writes",
        action="GetJob",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        is_read=True,
        body=Lookup,
        answers={200: JobDocuments},
        problems=(413, 415),
    )
    def look_up(self) -> Response:
        """Return the jobs with these ids, in their order; null for an unknown one."""
        wanted = json_body(Lookup, expected='{"job_ids": [...]}')
        return json_response(JobDocuments([self._find(job_id) for job_id in wanted.job_ids]))

    @Route(
        "GET",
        "/v1/jobs",
        summary="Pending or dead jobs: of one run, of the client that asks, of a request or of an idempotency key",
        action="GetJob",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        query=(
            *("run_id", "run", "lane", "status", "mine", "cursor", "limit"),
            *("request_id", "idempotency_key", "client"),
        ),
        answers={200: JobPage},
    )
    def page(self) -> Response:
        """Return a page of the jobs of a lane, of the client that asks, or of one request."""
        try:
            query = msgspec.convert(request.args.to_dict(), JobQuery, strict=False)
        except msgspec.ValidationError as error:
            abort(400, f"The query is not valid: {error}. Delivered jobs can be read by their ids only.")
        lane = _lane(query)
        if query.request_id or query.idempotency_key:
            page = _IdPage(self._search_ids(query), None)
        else:
            page = self._list_ids(lane, query)
        documents = map(self._find, page.job_ids)
        return json_response(JobPage([document for document in documents if document], page.next))

    def _list_ids(self, lane: str | None, query: JobQuery) -> _IdPage:
        if (query.mine or query.status) == "dead":
            return self._list_dead(lane, query)
        return self._list_pending(lane, query) if lane else self._list_own_pending(query)

    def _search_ids(self, query: JobQuery) -> list[str]:
        """Return the ids of the jobs of a request, or of an idempotency key of the client's own."""
        owner = visible_client()
        if query.client is not None and owner not in (None, query.client):
            return []
        if query.request_id:
            return self._search.by_request(query.request_id, client=owner or query.client)
        return self._search.by_idempotency_key(query.idempotency_key or "", client=query.client or client().name)

    def _find(self, job_id: str) -> JobDocument | None:
        return self._outbox.job(job_id, client=visible_client())

    def _job(self, job_id: str) -> JobDocument:
        return self._find(job_id) or abort(
            404,
            "The job does not exist, or was settled before the retention period. Only the client that created it"
            " and operators can read it.",
        )

    def _list_pending(self, lane: str, query: JobQuery) -> _IdPage:
        """Return pending jobs of a lane. The cursor is a position."""
        cursor = query.cursor or "0"
        if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > _MAX_CURSOR_DIGITS:
            abort(400, _INVALID_CURSOR)
        job_ids, last = self._outbox.pending_jobs(lane, client=visible_client(), after=int(cursor), limit=query.limit)
        return _IdPage(job_ids, None if last is None else str(last))

    def _list_own_pending(self, query: JobQuery) -> _IdPage:
        """Return pending jobs of the client, lane by lane. The cursor is a position and its lane."""
        position, _, first_lane = (query.cursor or "0@").partition("@")
        if not (position.isascii() and position.isdecimal()) or len(position) > _MAX_CURSOR_DIGITS:
            abort(400, _INVALID_CURSOR)
        job_ids: list[str] = []
        name = client().name
        lanes = self._outbox.lanes_of(name, limit=_MAX_OWN_LANES)
        for lane in sorted(each for each in lanes if each >= first_lane):
            after = int(position) if lane == first_lane else 0
            more, last = self._outbox.pending_jobs(lane, client=name, after=after, limit=query.limit - len(job_ids))
            job_ids += more
            if last is not None:
                return _IdPage(job_ids, f"{last}@{lane}")
            if len(job_ids) == query.limit:
                # The next page begins behind this lane.
                return _IdPage(job_ids, f"{_PAST_EVERY_POSITION}@{lane}")
        return _IdPage(job_ids, None)

    def _list_dead(self, lane: str | None, query: JobQuery) -> _IdPage:
        """Return dead jobs of a lane, or of all lanes. The cursor is that of the dead letters."""
        try:
            wanted = LetterFilter(lane=lane, client=client().name if query.mine else visible_client())
            page = self._letters.page(wanted, after=query.cursor, limit=query.limit)
        except InvalidCursor:
            abort(400, _INVALID_CURSOR)
        return _IdPage([letter.job_id for letter in page.letters], page.next)


def _lane(query: JobQuery) -> str | None:
    """Return the lane that the query names, None for jobs in all lanes."""
    searched = query.request_id or query.idempotency_key
    selectors = [value for value in (query.run_id, query.run, query.lane, query.mine, searched) if value]
    if len(selectors) != 1 or (query.request_id and query.idempotency_key):
        abort(400, "Give one of run_id, run (a name of the client's own), lane, mine, request_id or idempotency_key.")
    if query.client is not None and not searched:
        abort(400, "client goes with request_id or idempotency_key only.")
    if query.mine or searched:
        return None
    # A run's id is its lane.
    return lane_of(query.run) if query.run else query.run_id or query.lane
