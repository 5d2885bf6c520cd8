# SPDX-License-Identifier: Apache-2.0
"""Which paths are the bridge's own; the rest is MLflow's."""

import re

from werkzeug.exceptions import MethodNotAllowed

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


def is_own_path(path: str) -> bool:
    """Whether a path is one of ours, or below one."""
    return path.startswith(OWN_PATHS) and any(path == own or path.startswith(f"{own}/") for own in OWN_PATHS)


#: As it is written: to HTTP `get` is another method than `GET`, but the client that asks upstream makes them one.
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
#: The one would open a tunnel, the other bring our signature back.
_REFUSED = frozenset({"CONNECT", "TRACE"})
_USUAL = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def check_method(method: str) -> None:
    """Raise ``MethodNotAllowed`` for what is no method, and for those that are not passed on."""
    if method in _REFUSED or not _METHOD.fullmatch(method):
        raise MethodNotAllowed(_USUAL, "This method is not passed on.")
