# SPDX-License-Identifier: Apache-2.0
"""Which calls MLflow's clients repeat after which status, so that what is only short of time is asked for again.

All of them repeat every call after a 429. After a 503 they differ by their version (``mlflow/utils/rest_utils.py``).
"""

from collections.abc import Mapping

from schemas.write import Op

#: For each generation of the client the first version, and the POSTs that it repeats after a 503; None for all.
POSTS_REPEATED_AFTER_503: Mapping[str, frozenset[Op] | None] = {
    "2.0": None,
    "3.18": frozenset(
        {Op.LOG_METRIC, Op.LOG_PARAMETER, Op.LOG_BATCH, Op.SET_TAG, Op.UPDATE_RUN, Op.SET_EXPERIMENT_TAG}
    ),
}


def is_repeated_after_503(method: str, op: Op | None) -> bool:
    """Return whether every client repeats this call, which becomes a write of this kind or is proxied (None)."""
    if method != "POST":
        return True
    if op is Op.EXPORT_TRACES:
        # Exporters of OpenTelemetry do: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
        return True
    return op is not None and all(repeated is None or op in repeated for repeated in POSTS_REPEATED_AFTER_503.values())
