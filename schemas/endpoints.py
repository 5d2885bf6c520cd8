# SPDX-License-Identifier: Apache-2.0
"""Which of MLflow's calls are queued. Every call that is not listed is proxied synchronously."""

from schemas.write import Op

#: MLflow serves each of its calls under both.
API_PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")

#: Method POST, path below a prefix.
QUEUED = {
    "/runs/log-metric": Op.LOG_METRIC,
    "/runs/log-parameter": Op.LOG_PARAMETER,
    "/runs/set-tag": Op.SET_TAG,
    "/runs/log-batch": Op.LOG_BATCH,
}


def upstream_path(op: Op) -> str:
    """The path at which upstream takes this call."""
    return f"{API_PREFIXES[0]}/runs/{op}"
