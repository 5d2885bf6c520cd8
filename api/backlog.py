# SPDX-License-Identifier: Apache-2.0
"""How much waits: of one run, ``GET /v1/runs/{run_id}/backlog``, and in all, ``GET /v1/backlog``."""

import dataclasses

import msgspec
from flask import Blueprint, Response

from bridge.bootstrap import Api


def backlog(bridge: Api) -> Blueprint:
    """Return the routes of the backlog."""
    blueprint = Blueprint("backlog", __name__)

    @blueprint.get("/v1/runs/<run_id>/backlog")
    def of_run(run_id: str) -> Response:
        return Response(msgspec.json.encode(bridge.outbox.lane_backlog(run_id)), content_type="application/json")

    @blueprint.get("/v1/backlog")
    def whole() -> Response:
        document = dataclasses.asdict(bridge.outbox.backlog())
        return Response(msgspec.json.encode(document), content_type="application/json")

    return blueprint
