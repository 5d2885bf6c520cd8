# SPDX-License-Identifier: Apache-2.0
"""Which reads are answered with what is accepted and not delivered yet, and what they are about."""

import enum

from schemas.endpoints import Endpoint


class Overlaid(enum.Enum):
    """The kinds of answers over which writes can be laid."""

    RUN = enum.auto()
    HISTORY = enum.auto()
    EXPERIMENT = enum.auto()
    TRACE = enum.auto()
    #: As MLflow 2 answered it.
    TRACE_OF_OLD = enum.auto()


def overlaid(endpoint: Endpoint) -> Overlaid | None:
    """Return the kind of answer that a call has, None if it is answered as upstream does."""
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
