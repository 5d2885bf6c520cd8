# SPDX-License-Identifier: Apache-2.0
"""Reads that the bridge overlays with accepted, undelivered writes (read your writes)."""

import enum

from schemas.endpoints import Endpoint


class OverlayKind(enum.Enum):
    """The kind of document in an answer that can be overlaid."""

    RUN = enum.auto()
    HISTORY = enum.auto()
    EXPERIMENT = enum.auto()
    TRACE = enum.auto()
    #: The form that a trace has in MLflow 2.
    TRACE_V2 = enum.auto()


def overlay_kind_of(endpoint: Endpoint) -> OverlayKind | None:
    """Return the kind of the answer of an endpoint, None if the bridge forwards it unchanged."""
    return _OVERLAY_KINDS.get((endpoint.method, endpoint.path))


_OVERLAY_KINDS = {
    ("GET", "/api/2.0/mlflow/runs/get"): OverlayKind.RUN,
    ("GET", "/api/2.0/mlflow/metrics/get-history"): OverlayKind.HISTORY,
    ("GET", "/api/2.0/mlflow/experiments/get"): OverlayKind.EXPERIMENT,
    ("GET", "/api/2.0/mlflow/experiments/get-by-name"): OverlayKind.EXPERIMENT,
    ("GET", "/api/2.0/mlflow/traces/{request_id}/info"): OverlayKind.TRACE_V2,
    ("GET", "/api/3.0/mlflow/traces/{trace_id}"): OverlayKind.TRACE,
    ("GET", "/api/3.0/mlflow/traces/get"): OverlayKind.TRACE,
}
