# SPDX-License-Identifier: Apache-2.0
"""The statuses after which MLflow's clients retry a call.

The bridge answers a temporary failure with a status that the client retries. Every version retries all calls after 429.
After 503 the versions differ (``mlflow/utils/rest_utils.py``).
"""

from collections.abc import Mapping

from schemas.write import Op

#: By the first version of the client that behaves so: the POSTs that it retries after 503. None: all.
POSTS_REPEATED_AFTER_503: Mapping[str, frozenset[Op] | None] = {
    "2.0": None,
    "3.18": frozenset(
        {Op.LOG_METRIC, Op.LOG_PARAMETER, Op.LOG_BATCH, Op.SET_TAG, Op.UPDATE_RUN, Op.SET_EXPERIMENT_TAG}
    ),
}


def is_repeated_after_503(method: str, op: Op | None) -> bool:
    """Return whether every version retries this call after 503. ``op`` is None for a proxied call."""
    if method != "POST":
        return True
    if op is Op.EXPORT_TRACES:
        # OpenTelemetry's exporters do: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
        return True
    return op is not None and all(retried is None or op in retried for retried in POSTS_REPEATED_AFTER_503.values())
