# SPDX-License-Identifier: Apache-2.0
"""Whether the process is up (``/healthz``), and whether the bridge can keep its promises (``/readyz``)."""

from typing import Any

import msgspec
from flask import Blueprint, Response

from bridge.bootstrap import Api
from bridge.errors import StoreUnavailable


def health(bridge: Api) -> Blueprint:
    """Return the routes of liveness and readiness."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def alive() -> Response:
        return Response(b'{"status":"ok"}', content_type="application/json")

    @blueprint.get("/readyz")
    def ready() -> Response:
        report = _report(bridge)
        status = 503 if report["status"] == "unavailable" else 200
        return Response(msgspec.json.encode(report), status, content_type="application/json")

    return blueprint


def _report(bridge: Api) -> dict[str, Any]:
    """Say how each part is doing. Only the store decides whether writes can be taken; the rest catches up later."""
    store = _store(bridge)
    parts: dict[str, Any] = {
        "store": store,
        "broker": {"reachable": bridge.dispatch.ping()},
        "workers": {"alive": store.pop("workers", 0)},
        "upstream": {**bridge.upstream.probe(), "gate": store.pop("gate", None)},
    }
    if not store["reachable"]:
        return {"status": "unavailable", **parts}
    upstream = parts["upstream"]
    open_ = upstream["reachable"] and upstream["gate"].breaker == "closed"
    well = parts["broker"]["reachable"] and parts["workers"]["alive"] and open_
    return {"status": "ready" if well else "degraded", **parts}


def _store(bridge: Api) -> dict[str, Any]:
    try:
        durability, backlog = bridge.outbox.durability(), bridge.outbox.backlog()
        workers, gate = bridge.outbox.workers(), bridge.gate.state()
    except StoreUnavailable as error:
        return {"reachable": False, "why": str(error)}
    return {
        "reachable": True,
        "durability": durability.level,
        "warnings": durability.warnings,
        "lanes_pending": backlog.lanes,
        "oldest_due": backlog.oldest_due,
        "workers": workers,
        "gate": gate,
    }
