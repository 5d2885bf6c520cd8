# SPDX-License-Identifier: Apache-2.0
"""The backlog: what is pending for one run, and in all."""

import dataclasses

from flask import Response

from api.http.routing import Route
from api.routes.json_bodies import json_response
from api.routes.runs import lane_of
from bridge.outbox import Outbox
from bridge.upstream.flow_control import FlowControl
from schemas.client import Scope
from schemas.endpoints import ExperimentRule
from schemas.errors import InvalidWrite
from schemas.job import LaneBacklog


class BacklogRoutes:
    """Serves the backlog."""

    def __init__(self, outbox: Outbox, flow_control: FlowControl) -> None:
        self._outbox = outbox
        self._flow_control = flow_control

    @Route(
        "GET",
        "/v1/runs/<path:run>/backlog",
        summary="The backlog of one run",
        action="GetRun",
        scope=Scope.READ,
        experiments=ExperimentRule.RUN,
        answers={200: LaneBacklog},
    )
    def of_run(self, run: str) -> Response:
        """Return the backlog of a run, by its client's own name for it or by its id."""
        return json_response(self._outbox.lane_backlog(self._lane(run)))

    @Route(
        "GET",
        "/v1/backlog",
        summary="The backlog in all",
        action="GetBacklog",
        experiments=ExperimentRule.HARMLESS,
        answers={200: None},
    )
    def total(self) -> Response:
        """Return the backlog of all lanes, and the pause of deliveries, if there is one."""
        backlog, pause = self._outbox.backlog(), self._flow_control.state().paused
        return json_response(dataclasses.asdict(backlog) | {"paused": pause.document() if pause else None})

    def _lane(self, run: str) -> str:
        """Return the lane of a named run, or of a run by its id if no named run has had a write."""
        try:
            lane = lane_of(run)
        except InvalidWrite:
            return run
        return lane if self._outbox.extents([lane])[lane].accepted else run
