# SPDX-License-Identifier: Apache-2.0
"""Reads that the bridge overlays with accepted, undelivered writes (read your writes)."""

import enum

from schemas.endpoints import Endpoint


class Overlaid(enum.Enum):
    """The kind of an answer that can be overlaid."""

    RUN = enum.auto()
    HISTORY = enum.auto()
    EXPERIMENT = enum.auto()
    TRACE = enum.auto()
    #: The trace document of MLflow 2.
    TRACE_OF_OLD = enum.auto()


def overlaid(endpoint: Endpoint) -> Overlaid | None:
    """Return the kind of an endpoint's answer, None if the bridge passes it on unchanged."""
    return _OVERLAID.get((endpoint.method, endpoint.path))


_OVERLAID = {
    ("GET", "/api/2.0/mlflow/runs/get"): Overlaid.RUN,
    ("GET", "/api/2.0/mlflow/metrics/get-history"): Overlaid.HISTORY,
    ("GET", "/api/2.0/mlflow/experiments/get"): Overlaid.EXPERIMENT,
    ("GET", "/api/2.0/mlflow/experiments/get-by-name"): Overlaid.EXPERIMENT,
    ("GET", "/api/2.0/mlflow/traces/{request_id}/info"): Overlaid.TRACE_OF_OLD,
    ("GET", "/api/3.0/mlflow/traces/{trace_id}"): Overlaid.TRACE,
    ("GET", "/api/3.0/mlflow/traces/get"): Overlaid.TRACE,
}
