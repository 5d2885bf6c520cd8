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
    "/runs/delete-tag": Op.DELETE_TAG,
    "/runs/update": Op.UPDATE_RUN,
    "/runs/log-inputs": Op.LOG_INPUTS,
    "/runs/outputs": Op.LOG_OUTPUTS,
}


def upstream_path(op: Op) -> str:
    """The path at which upstream takes this call."""
    return f"{API_PREFIXES[0]}/runs/{op}"


def was_done_before(op: Op, status: int, error_code: str, message: str) -> bool:
    """Return whether this refusal of a call that may have arrived before means that it did.

    MLflow deletes a tag and stores outputs only once, and complains of the second time; every other queued call it
    takes again without a word.
    """
    match op:
        case Op.DELETE_TAG:
            return status == 404 and error_code == "RESOURCE_DOES_NOT_EXIST" and message.startswith("No tag with name")
        case Op.LOG_OUTPUTS:
            # In the words of SQLite and PostgreSQL, or of MySQL.
            stored = any(word in message.upper() for word in ("UNIQUE", "DUPLICATE"))
            return status == 400 and error_code == "BAD_REQUEST" and stored
    return False
