# SPDX-License-Identifier: Apache-2.0
"""Which paths are the bridge's own; the rest is MLflow's."""

#: Paths that are ours; on every other one a client expects to hear MLflow.
OWN_PATHS = (
    "/v1/writes",
    "/v1/jobs",
    "/v1/runs",
    "/v1/backlog",
    "/v1/dead-letters",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
)


def is_own(path: str) -> bool:
    """Whether a path is one of ours, or below one."""
    return path.startswith(OWN_PATHS) and any(path == own or path.startswith(f"{own}/") for own in OWN_PATHS)
