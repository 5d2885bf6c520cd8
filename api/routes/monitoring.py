# SPDX-License-Identifier: Apache-2.0
"""Whether the process is up (``/healthz``), and whether the bridge can keep its promises (``/readyz``)."""

from typing import Any

import msgspec
from flask import Blueprint, Response, request

from api.routes.context import client
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.telemetry.prometheus import expose, read_gauges


def health(bridge: Api) -> Blueprint:
    """Return the routes of liveness and readiness."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def alive() -> Response:
        return Response(b'{"status":"ok"}', content_type="application/json")

    @blueprint.get("/readyz")
    def ready() -> Response:
        report = _report(bridge)
        if not client().is_operator:
            # Strangers may know whether to come, not what is inside.
            report = {"status": report["status"]}
        status = 503 if report["status"] == "unavailable" else 200
        return Response(msgspec.json.encode(report), status, content_type="application/json")

    return blueprint


def _report(bridge: Api) -> dict[str, Any]:
    """Say how each part is doing. Only the store decides whether writes can be taken; the rest catches up later."""
    if bridge.stopping.is_set():
        return {"status": "unavailable", "reason": "it is stopping"}
    store = _store(bridge)
    workers, flow_control = store.pop("workers", 0), store.pop("gate", None)
    if not store["reachable"] or store["faults"]:
        # No further answer, each with its own timeout, would change the verdict.
        return {"status": "unavailable", "store": store}
    parts: dict[str, Any] = {
        "store": store,
        "broker": {"reachable": bridge.dispatch.ping()},
        "workers": {"alive": workers},
        "upstream": {**bridge.upstream.probe(), "gate": flow_control},
    }
    upstream_well = parts["upstream"]["reachable"] and flow_control.breaker == "closed"
    well = parts["broker"]["reachable"] and workers and upstream_well
    return {"status": "ready" if well else "degraded", **parts}


def _store(bridge: Api) -> dict[str, Any]:
    try:
        durability, backlog = bridge.outbox.durability(), bridge.outbox.backlog()
        workers, flow_control = bridge.outbox.workers(), bridge.flow_control.state()
    except StoreUnavailable as error:
        return {"reachable": False, "reason": str(error)}
    return {
        "reachable": True,
        "durability": durability.level,
        "faults": durability.faults,
        "warnings": durability.warnings,
        "lanes_pending": backlog.lanes,
        "bytes_held": backlog.bytes,
        "dead_letters": backlog.dead_letters,
        "oldest_due": backlog.oldest_due,
        "oldest_accepted_at": backlog.oldest_accepted_at,
        "workers": workers,
        "gate": flow_control,
    }


def metrics(bridge: Api) -> Blueprint:
    """Return the route."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def scrape() -> Response:
        gauges = read_gauges(bridge.outbox, bridge.flow_control, bridge.counters, now=bridge.clock.now())
        try:
            counters = bridge.counters.read()
        except StoreUnavailable:
            counters = None
        text, content_type = expose(counters, gauges, accept=request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return blueprint
