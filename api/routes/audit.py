# SPDX-License-Identifier: Apache-2.0
"""``/v1/audit``: what was changed through the api, who signed in, and what was denied."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from flask import Response, abort

from api.http.routing import Route
from api.routes.csv_response import PAGE_ROWS, csv_response, wants_csv
from api.routes.json_bodies import json_response, query_of
from bridge.telemetry.audit import AuditStore, InvalidAuditCursor
from schemas.audit import AuditEntry, AuditFilter, AuditPage


class _AuditQuery(AuditFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class AuditRoutes:
    """Serves the stored audit records."""

    def __init__(self, audit: AuditStore) -> None:
        self._audit = audit

    @Route(
        "GET",
        "/v1/audit",
        summary="What was changed and denied, the newest first",
        action="GetAudit",
        is_polled=True,
        has_csv=True,
        answers={200: AuditPage, 304: None},
        query=("client", "action", "decision", "since", "until", "request_id", "cursor", "limit"),
    )
    def page(self) -> Response:
        """Return a page of the entries that a filter selects; as CSV, all of them."""
        query = query_of(_AuditQuery)

        def rows(after: str | None) -> tuple[Sequence[AuditEntry], str | None]:
            page = self._audit.page(query, after=after, limit=PAGE_ROWS)
            return page.entries, page.next

        try:
            if wants_csv():
                return csv_response("audit", AuditEntry, rows, after=query.cursor)
            return json_response(self._audit.page(query, after=query.cursor, limit=query.limit))
        except InvalidAuditCursor:
            abort(400, "cursor must be the `next` of an earlier page.")
