# SPDX-License-Identifier: Apache-2.0
"""The route of the metrics: ``GET /metrics``, of all processes together, whichever of them is asked."""

from flask import Blueprint, Response, request

from bridge.bootstrap import Api
from bridge.errors import StoreUnavailable
from bridge.telemetry.exposition import expose
from bridge.telemetry.gauges import read_gauges


def metrics(bridge: Api) -> Blueprint:
    """Return the route."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def scrape() -> Response:
        gauges = read_gauges(bridge.outbox, bridge.gate, bridge.totals, now=bridge.clock.now())
        try:
            totals = bridge.totals.read()
        except StoreUnavailable:
            totals = None
        text, content_type = expose(totals, gauges, accept=request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return blueprint
