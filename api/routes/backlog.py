# SPDX-License-Identifier: Apache-2.0
"""How much waits: of one run, ``GET /v1/runs/{run_id}/backlog``, and in all, ``GET /v1/backlog``."""

import dataclasses

import msgspec
from flask import Blueprint, Response

from api.routes.runs import lane_of
from bridge.bootstrap.processes import Api
from schemas.errors import InvalidWrite


def backlog(bridge: Api) -> Blueprint:
    """Return the routes of the backlog."""
    blueprint = Blueprint("backlog", __name__)

    @blueprint.get("/v1/runs/<path:run>/backlog")
    def of_run(run: str) -> Response:
        return Response(
            msgspec.json.encode(bridge.outbox.lane_backlog(_lane(bridge, run))), content_type="application/json"
        )

    @blueprint.get("/v1/backlog")
    def whole() -> Response:
        document = dataclasses.asdict(bridge.outbox.backlog())
        return Response(msgspec.json.encode(document), content_type="application/json")

    return blueprint


def _lane(bridge: Api, run: str) -> str:
    """Return the lane of a run that is given by its client's name for it, if that is known, or by its id."""
    try:
        lane = lane_of(run)
    except InvalidWrite:
        return run
    return lane if bridge.outbox.extents([lane])[lane].accepted else run
