# SPDX-License-Identifier: Apache-2.0
"""``/v1/sessions``: browser sessions, for operators."""

from collections.abc import Callable

from flask import Response, abort

from api.http.routing import Route
from api.routes.context import client, request_id
from api.routes.json_bodies import json_response, query_of
from bridge.auth.sessions import BrowserSession, BrowserSessions
from bridge.events import Observer, SignedOut
from schemas.endpoints import ExperimentRule
from schemas.session import SessionPage, SessionQuery, SessionSummary

_MAX_LIMIT = 1000


class OperatorSessionRoutes:
    """Lists browser sessions, and ends them."""

    def __init__(
        self, sessions: BrowserSessions, end: Callable[[str], BrowserSession | None], observe: Observer
    ) -> None:
        """``end`` ends a session by its id, and forgets it in this process at once."""
        self._sessions = sessions
        self._end = end
        self._observe = observe

    @Route(
        "GET",
        "/v1/sessions",
        summary="Browser sessions",
        action="ListSessions",
        experiments=ExperimentRule.HARMLESS,
        answers={200: SessionPage},
        problems=(400,),
        query=("cursor", "limit"),
    )
    def list_sessions(self) -> Response:
        """Return a page of live sessions."""
        query = query_of(SessionQuery)
        if not 1 <= query.limit <= _MAX_LIMIT:
            abort(400, f"The query is not valid: `limit` must be from 1 to {_MAX_LIMIT}.")
        sessions, after = self._sessions.page(after=query.cursor, limit=query.limit)
        return json_response(SessionPage(sessions=[_summary(session) for session in sessions], next=after))

    @Route(
        "DELETE",
        "/v1/sessions/<session_id>",
        summary="End a browser session",
        action="EndSession",
        experiments=ExperimentRule.HARMLESS,
        answers={204: None},
        problems=(404,),
    )
    def end(self, session_id: str) -> Response:
        """Sign a browser out."""
        session = self._end(session_id)
        if session is None:
            abort(404, "There is no such session, or it has ended.")
        self._observe(
            SignedOut(
                client=session.client,
                via=session.via,
                session_id=session_id,
                by=client().name,
                request_id=request_id(),
            )
        )
        return Response(status=204)


def _summary(session: BrowserSession) -> SessionSummary:
    return SessionSummary(
        session_id=session.session_id,
        client=session.client,
        display=session.display,
        via=session.via,
        signed_in_at=session.created_at,
        seen_at=session.seen_at,
        ends_at=session.ends_at,
    )
