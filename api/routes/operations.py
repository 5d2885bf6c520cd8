# SPDX-License-Identifier: Apache-2.0
"""What operators look at: the overview, series, lanes and workers."""

from collections.abc import Sequence
from typing import NoReturn

import msgspec
from flask import Response, abort

from api.http.routing import Route
from api.routes.csv_response import PAGE_ROWS, csv_response, wants_csv
from api.routes.json_bodies import json_response, query_of
from bridge.dispatch import Dispatch
from bridge.operations.lanes import InvalidCursor, Lanes, attempt_now
from bridge.operations.overview import Limits, overview
from bridge.operations.recent_state import RecentState
from bridge.operations.series import NAMES
from bridge.operations.snapshot import SnapshotReader
from schemas.endpoints import ExperimentRule
from schemas.operations import (
    LaneDocument,
    LanePage,
    LaneQuery,
    Overview,
    SeriesDocument,
    SeriesQuery,
    WorkerList,
)


class OverviewRoutes:
    """Serves the state of the whole bridge, its last hours and its workers."""

    def __init__(self, recent: RecentState, snapshots: SnapshotReader, limits: Limits) -> None:
        self._recent = recent
        self._snapshots = snapshots
        self._limits = limits

    @Route(
        "GET",
        "/v1/overview",
        summary="The state of the whole bridge, and why writes wait",
        action="GetBacklog",
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        answers={200: Overview, 304: None},
    )
    def overview(self) -> Response:
        """Return the overview."""
        return json_response(overview(self._recent.snapshot(), self._limits))

    @Route(
        "GET",
        "/v1/series",
        summary="What happened minute by minute",
        action="GetMetrics",
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        query=("names", "minutes"),
        answers={200: SeriesDocument, 304: None},
    )
    def series(self) -> Response:
        """Return series."""
        query = query_of(SeriesQuery)
        names = NAMES if query.names is None else tuple(dict.fromkeys(query.names.split(",")))
        if unknown := [name for name in names if name not in NAMES]:
            abort(400, f"There is no series {', '.join(unknown)}. There are {', '.join(NAMES)}.")
        return json_response(self._recent.series(names, minutes=query.minutes))

    @Route(
        "GET",
        "/v1/workers",
        summary="The worker processes",
        action="GetWorkers",
        is_polled=True,
        answers={200: WorkerList, 304: None},
    )
    def workers(self) -> Response:
        """Return the workers."""
        return json_response(WorkerList(self._snapshots.workers()))


class LaneRoutes:
    """Serves the lanes with pending writes."""

    def __init__(self, lanes: Lanes, dispatch: Dispatch) -> None:
        self._lanes = lanes
        self._dispatch = dispatch

    @Route(
        "GET",
        "/v1/lanes",
        summary="The lanes with pending writes",
        action="GetBacklog",
        is_polled=True,
        has_csv=True,
        query=("state", "client", "order", "cursor", "limit"),
        answers={200: LanePage, 304: None},
    )
    def page(self) -> Response:
        """Return a page of lanes; as CSV, all of them."""
        query = query_of(LaneQuery)

        def rows(after: str | None) -> tuple[Sequence[LaneDocument], str | None]:
            page = self._lanes.page(msgspec.structs.replace(query, cursor=after, limit=PAGE_ROWS))
            return page.lanes, page.next

        try:
            if wants_csv():
                return csv_response("lanes", LaneDocument, rows, after=query.cursor)
            return json_response(self._lanes.page(query))
        except InvalidCursor:
            abort(400, "The cursor must be the `next` of an earlier page.")

    @Route(
        "GET",
        "/v1/lanes/<path:lane>",
        summary="One lane",
        action="GetBacklog",
        is_polled=True,
        answers={200: LaneDocument, 304: None},
        problems=(404,),
    )
    def show(self, lane: str) -> Response:
        """Return a lane."""
        return json_response(self._lanes.lane(lane) or _abort_unknown_lane())

    @Route(
        "POST",
        "/v1/lanes/<path:lane>/attempt",
        summary="Attempt a lane now, whatever its backoff",
        action="AttemptLane",
        answers={202: LaneDocument},
        problems=(404,),
    )
    def attempt(self, lane: str) -> Response:
        """Make a lane due, and return it."""
        document = attempt_now(self._lanes, self._dispatch, lane)
        return json_response(document or _abort_unknown_lane(), 202)


def _abort_unknown_lane() -> NoReturn:
    abort(404, "Nothing is pending in this lane, and nothing is known of it.")
