# SPDX-License-Identifier: Apache-2.0
"""Monitoring: liveness (``/healthz``), readiness (``/readyz``) and metrics for Prometheus (``/metrics``)."""

import threading
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from api.http.routing import Route
from api.routes.context import client
from api.routes.json_bodies import json_response
from bridge.config.action_modes import ActionModes
from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.outbox import Backlog, Durability, Outbox
from bridge.process.clock import Clock
from bridge.telemetry.metrics import CounterStore
from bridge.telemetry.prometheus import expose, read_gauges
from bridge.upstream import Upstream
from bridge.upstream.flow_control import FlowControl
from schemas.endpoints import ExperimentRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessCheck:
    """The state of the store, the broker, the workers and upstream."""

    outbox: Outbox
    flow_control: FlowControl
    dispatch: Dispatch
    upstream: Upstream
    stopping: threading.Event
    action_modes: ActionModes

    def report(self) -> dict[str, Any]:
        """Return the state of each part. Only the store decides whether writes are accepted; the others catch up."""
        if self.stopping.is_set():
            return {"status": "unavailable", "reason": "the process is shutting down"}
        try:
            durability, backlog = self.outbox.durability(), self.outbox.backlog()
            workers, flow_control = self.outbox.workers(), self.flow_control.state()
        except StoreUnavailable as error:
            return {"status": "unavailable", "store": {"reachable": False, "reason": str(error)}}
        store = _store_report(durability, backlog)
        if durability.faults:
            # The other checks could not change the result, and each may take its full timeout.
            return {"status": "unavailable", "store": store}
        parts: dict[str, Any] = {
            "action_modes": self.action_modes,
            "store": store,
            "broker": {"reachable": self.dispatch.ping()},
            "workers": {"alive": workers},
            "upstream": {**self.upstream.probe(), "gate": flow_control},
        }
        is_upstream_ready = parts["upstream"]["reachable"] and flow_control.permits_calls
        is_ready = parts["broker"]["reachable"] and workers and is_upstream_ready
        return {"status": "ready" if is_ready else "degraded", **parts}


def _store_report(durability: Durability, backlog: Backlog) -> dict[str, Any]:
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
    }


class HealthRoutes:
    """Serves liveness and readiness."""

    def __init__(self, readiness: ReadinessCheck) -> None:
        self._readiness = readiness

    @Route("GET", "/healthz", summary="Liveness: the process responds", is_open=True, answers={200: None})
    def live(self) -> Response:
        """Return 200."""
        return Response(b'{"status":"ok"}', content_type="application/json")

    @Route(
        "GET",
        "/readyz",
        summary="Readiness: writes are accepted, and delivered",
        is_open=True,
        answers={200: None, 503: None},
    )
    def ready(self) -> Response:
        """Return 200, or 503 if no writes are accepted. Only operators see the details."""
        report = self._readiness.report()
        status = 503 if report["status"] == "unavailable" else 200
        return json_response(report if client().is_operator else {"status": report["status"]}, status)


class MetricsRoutes:
    """Serves metrics in Prometheus' formats."""

    def __init__(self, outbox: Outbox, flow_control: FlowControl, counters: CounterStore, clock: Clock) -> None:
        self._outbox = outbox
        self._flow_control = flow_control
        self._counters = counters
        self._clock = clock

    @Route(
        "GET",
        "/metrics",
        summary="Metrics for Prometheus",
        action="GetMetrics",
        experiments=ExperimentRule.HARMLESS,
        answers={200: None},
    )
    def scrape(self) -> Response:
        """Return the metrics of all processes; without the counters if the store is unavailable."""
        gauges = read_gauges(self._outbox, self._flow_control, self._counters, now=self._clock.now())
        try:
            counters = self._counters.read()
        except StoreUnavailable:
            counters = None
        text, content_type = expose(counters, gauges, accept=request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)
