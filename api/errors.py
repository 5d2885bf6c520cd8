# SPDX-License-Identifier: Apache-2.0
"""What an error is answered with: MLflow's error on MLflow's paths, a problem document on the bridge's own."""

import logging

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from api.bulkhead import Busy
from api.draining import Draining
from bridge.errors import (
    CredentialsUnavailable,
    OverCap,
    RequestIncomplete,
    StoreUnavailable,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from schemas.endpoints import API_PREFIXES, QUEUED
from schemas.errors import InvalidWrite
from schemas.problem import MlflowError, Problem

_LOG = logging.getLogger(__name__)

#: Paths that are ours; on every other one a client expects to hear MLflow.
OWN_PATHS = ("/v1/jobs", "/v1/runs", "/v1/backlog", "/v1/dead-letters", "/healthz", "/readyz")

_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
_QUEUED_PATHS = frozenset(prefix + path for prefix in API_PREFIXES for path in QUEUED)


def answer_errors(app: Flask) -> None:
    """Answer every error that a view may raise."""
    app.register_error_handler(InvalidWrite, lambda e: _answer(e.status, e.error_code, e.message))
    app.register_error_handler(StoreUnavailable, _store_unavailable)
    app.register_error_handler(OverCap, _over_cap)
    app.register_error_handler(Draining, lambda _: _ours("The bridge is stopping. Send the write again.", wait=5))
    app.register_error_handler(Busy, lambda _: _ours("All connections for reads are in use."))
    app.register_error_handler(UpstreamTimeout, lambda e: _answer(504, _UNAVAILABLE, f"{e}."))
    app.register_error_handler(UpstreamUnreachable, lambda e: _answer(502, _UNAVAILABLE, f"{e}."))
    app.register_error_handler(CredentialsUnavailable, _credentials_unavailable)
    app.register_error_handler(RequestIncomplete, lambda e: _answer(400, "BAD_REQUEST", f"{e}."))
    app.register_error_handler(HTTPException, lambda e: _answer(e.code or 500, _code_of(e), e.description or e.name))
    app.register_error_handler(Exception, _unexpected)


def _store_unavailable(error: Exception) -> Response:
    _LOG.error("store_unavailable", extra={"fields": {"why": str(error), "path": request.path}})
    return _ours("The bridge's store does not answer, so nothing is promised. Send the request again.")


def _over_cap(error: OverCap) -> Response:
    _LOG.warning("over_cap", extra={"fields": {"cap": error.cap, "path": request.path}})
    if error.cap == "store":
        return _ours("The bridge's store is nearly full; it takes writes again when some have been delivered.", wait=5)
    whose = "run" if error.cap == "lane" else "client"
    message = f"Too much of this {whose} waits to be delivered. Send the write again later."
    answer = _answer(429, "REQUEST_LIMIT_EXCEEDED", message)
    answer.headers["Retry-After"] = "5"
    return answer


def _credentials_unavailable(error: Exception) -> Response:
    # The client can't mend it and need not know more; the operator finds the reason in the log.
    _LOG.error("credentials_unavailable", extra={"fields": {"why": str(error)}})
    return _answer(502, _UNAVAILABLE, "The bridge can't authenticate to upstream.")


def _unexpected(error: Exception) -> Response:
    _LOG.error("unexpected_error", exc_info=error, extra={"fields": {"path": request.path}})
    return _answer(500, "INTERNAL_ERROR", "The bridge has a defect; its log says more.")


def _ours(message: str, *, wait: int = 1) -> Response:
    """Answer that the bridge is short of something, with a status after which MLflow's client comes again.

    It repeats reads and these writes after a 503, other POSTs only after a 429 (mlflow 3.18, ``rest_utils.py``).
    """
    repeated = request.method != "POST" or request.path in _QUEUED_PATHS or request.path.startswith(OWN_PATHS)
    answer = _answer(503 if repeated else 429, _UNAVAILABLE, message)
    answer.headers["Retry-After"] = str(wait)
    return answer


def _answer(status: int, error_code: str, message: str) -> Response:
    if request.path.startswith(OWN_PATHS):
        name = error_code.lower().replace("_", "-")
        problem = Problem(
            type=f"urn:mlflow-bridge:problem:{name}",
            title=error_code.replace("_", " ").capitalize(),
            status=status,
            detail=message,
        )
        return Response(msgspec.json.encode(problem), status, content_type="application/problem+json")
    return Response(msgspec.json.encode(MlflowError(error_code, message)), status, content_type="application/json")


def _code_of(error: HTTPException) -> str:
    return {
        404: "RESOURCE_DOES_NOT_EXIST",
        405: "METHOD_NOT_ALLOWED",
        409: "RESOURCE_CONFLICT",
        413: "REQUEST_TOO_LARGE",
    }.get(error.code or 500, "BAD_REQUEST")
