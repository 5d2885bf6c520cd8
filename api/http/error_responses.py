# SPDX-License-Identifier: Apache-2.0
"""Maps errors to responses: MLflow's errors on MLflow's paths, problem documents (RFC 9457) on the bridge's own."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException

from api.http.exceptions import (
    ActionRefused,
    Busy,
    CountChanged,
    CrossSiteRequest,
    EarlierWritesPending,
    Forbidden,
    LoopDetected,
    MalformedFraming,
    NotForwarded,
    NotOnConsoleHost,
    OutsideExperiments,
    PartlyAccepted,
    RequestInProgress,
    SignInAgain,
    TooManyFailures,
    Unauthenticated,
)
from api.http.response import Response
from api.shutdown import ShuttingDown
from bridge.auth.oidc import IssuerUnavailable
from bridge.errors import (
    CredentialsUnavailable,
    ExperimentUnknown,
    OverCap,
    OverQuota,
    RequestIncomplete,
    RequestStalled,
    StoreUnavailable,
    TokensUsedUp,
    UpstreamDenied,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from schemas.bodies.bulk import InvalidWrites
from schemas.client_retries import is_repeated_after_503
from schemas.endpoints import OTLP_PATH, find_endpoint
from schemas.errors import InvalidWrite, MissingHeader
from schemas.problem import Fault, MlflowError, Problem

_LOG = logging.getLogger(__name__)

_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"


def error_response(error: Exception, request: "FailedRequest") -> Response:
    """Return the response to a request that an error has ended. Details for operators go to the log."""
    for kind in type(error).__mro__:
        if kind in _RESPONSES:
            return _RESPONSES[kind](request, error)
    raise error


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRequest:
    """What a response to an error depends on."""

    method: str
    path: str
    #: Whether the path is one of the bridge's own.
    is_own: bool
    request_id: str
    client: str = ""

    def log(self, event: str, *, level: int = logging.ERROR, error: Exception | None = None, **fields: str) -> None:
        """Log an error with the id of the request."""
        request = {"client": self.client, "path": self.path, "request_id": self.request_id}
        _LOG.log(level, event, exc_info=error, extra={"fields": {**fields, **request}})

    def respond(
        self,
        status: int,
        error_code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        errors: tuple[Fault, ...] = (),
    ) -> Response:
        """Return an error in the format that clients of this path expect."""
        retry = (("Retry-After", str(retry_after_s)),) if retry_after_s is not None else ()
        if self.path == OTLP_PATH:
            # MLflow serves this path with FastAPI.
            return Response(status, msgspec.json.encode({"detail": message}), headers=retry)
        if not self.is_own:
            return Response(status, msgspec.json.encode(MlflowError(error_code, message)), headers=retry)
        name = error_code.lower().replace("_", "-")
        problem = Problem(
            type=f"urn:mlflow-bridge:problem:{name}",
            title=error_code.replace("_", " ").capitalize(),
            status=status,
            detail=message,
            errors=errors,
        )
        return Response(status, msgspec.json.encode(problem), "application/problem+json", retry)

    def retry_later(self, message: str, *, retry_after_s: int = 1) -> Response:
        """Return 503, or 429 for a call that MLflow's client does not retry after a 503."""
        found = None if self.is_own else find_endpoint(self.method, self.path)
        is_retried = self.is_own or is_repeated_after_503(self.method, found.op if found else None)
        return self.respond(503 if is_retried else 429, _UNAVAILABLE, message, retry_after_s=retry_after_s)


def _missing_header(_: FailedRequest, error: MissingHeader) -> Response:
    fault = {"type": "missing", "loc": ["header", error.name], "msg": "Field required", "input": None}
    return Response(error.status, msgspec.json.encode({"detail": [fault]}))


def _store_unavailable(request: FailedRequest, error: Exception) -> Response:
    request.log("store_unavailable", reason=str(error))
    return request.retry_later(
        "The bridge's store is unavailable or not durable, so nothing is confirmed. Send the request again."
    )


def _over_cap(request: FailedRequest, error: OverCap) -> Response:
    request.log("over_cap", level=logging.WARNING, cap=error.cap)
    owner = {"lane": "run", "client": "client", "store": "bridge"}[error.cap]
    if error.max_bytes is not None:
        message = f"The write exceeds the {error.max_bytes} bytes that may be pending for this {owner}."
        message += " Send smaller writes, each with an Idempotency-Key of its own if it has one."
        return request.respond(413, "REQUEST_TOO_LARGE", message)
    if error.cap == "store":
        return request.retry_later(
            "The bridge's store is nearly full. Send the write again when others have been delivered.", retry_after_s=5
        )
    message = f"This {owner} has too much pending. Send the write again later."
    return request.respond(429, "REQUEST_LIMIT_EXCEEDED", message, retry_after_s=5)


def _credentials_unavailable(request: FailedRequest, error: Exception) -> Response:
    # Only an operator can fix it, and finds the reason in the log.
    request.log("credentials_unavailable", reason=str(error))
    return request.respond(502, _UNAVAILABLE, "The bridge can't authenticate to upstream; its log has the reason.")


def _outside_experiments(request: FailedRequest, error: OutsideExperiments) -> Response:
    denied, text = "PERMISSION_DENIED", str(error)
    faults = () if error.pointer is None else (Fault(error.pointer, denied, text),)
    return request.respond(403, denied, text, errors=faults)


def _http_error(request: FailedRequest, error: HTTPException) -> Response:
    code = {
        403: "PERMISSION_DENIED",
        404: "RESOURCE_DOES_NOT_EXIST",
        405: "METHOD_NOT_ALLOWED",
        409: "RESOURCE_CONFLICT",
        412: "PRECONDITION_FAILED",
        413: "REQUEST_TOO_LARGE",
        428: "PRECONDITION_REQUIRED",
    }.get(error.code or 500, "BAD_REQUEST")
    response = request.respond(error.code or 500, code, error.description or error.name)
    # Of the error's own headers, only Allow is for the client.
    allowed = getattr(error, "valid_methods", None)
    return replace(response, headers=(("Allow", ", ".join(sorted(allowed))),)) if allowed else response


def _invalid_writes(request: FailedRequest, error: InvalidWrites) -> Response:
    return request.respond(400, "INVALID_PARAMETER_VALUE", str(error), errors=error.faults)


def _partly_accepted(request: FailedRequest, error: PartlyAccepted) -> Response:
    response = error_response(error.reason, request)
    problem = msgspec.json.decode(response.body, type=Problem)
    advice = "`jobs` lists them. Send the others again, or the whole request if it has an Idempotency-Key."
    if response.status == 413:
        advice = "`jobs` lists them. Send the others again, without the one in `errors`."
        fault = Fault(error.pointer or "", "REQUEST_TOO_LARGE", problem.detail or "")
        problem = msgspec.structs.replace(problem, errors=(fault,))
    detail = f"{error}; {advice} {problem.detail}"
    return replace(response, body=msgspec.json.encode(msgspec.structs.replace(problem, detail=detail, jobs=error.jobs)))


def _count_changed(request: FailedRequest, error: CountChanged) -> Response:
    response = request.respond(409, "RESOURCE_CONFLICT", str(error))
    problem = msgspec.json.decode(response.body, type=Problem)
    return replace(response, body=msgspec.json.encode(msgspec.structs.replace(problem, count=error.count)))


def _unauthenticated(request: FailedRequest, error: Exception) -> Response:
    advice = "Send an API key (Authorization: Bearer mbk_...), or authenticate as the bridge's operator has set it up."
    response = request.respond(401, "UNAUTHENTICATED", str(error) or advice)
    challenges = (("WWW-Authenticate", 'Basic realm="mlflow-bridge", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))
    return replace(response, headers=challenges)


def _malformed_framing(request: FailedRequest, error: MalformedFraming) -> Response:
    response = request.respond(error.status, "BAD_REQUEST", str(error))
    return replace(response, headers=(("Connection", "close"),))


def _unexpected(request: FailedRequest, error: Exception) -> Response:
    request.log("unexpected_error", error=error)
    return request.respond(500, "INTERNAL_ERROR", "Internal error; the bridge's log has details for this request id.")


#: By the class of the error, or else by its nearest base class.
_RESPONSES: dict[type, Callable[[FailedRequest, Any], Response]] = {
    InvalidWrite: lambda request, e: request.respond(e.status, e.error_code, e.message),
    MissingHeader: _missing_header,
    OverCap: _over_cap,
    OverQuota: lambda request, e: request.respond(
        429, "REQUEST_LIMIT_EXCEEDED", f"{e}. Send it again later.", retry_after_s=math.ceil(e.wait)
    ),
    TokensUsedUp: lambda request, e: request.respond(
        429,
        "REQUEST_LIMIT_EXCEEDED",
        f"{e}, so MLflow's AI Gateway is not called. Call it after midnight, or ask the bridge's operator for more.",
        retry_after_s=math.ceil(e.wait),
    ),
    StoreUnavailable: _store_unavailable,
    ShuttingDown: lambda request, _: request.retry_later(
        "The bridge is shutting down. Send the write again.", retry_after_s=5
    ),
    Unauthenticated: _unauthenticated,
    MalformedFraming: _malformed_framing,
    LoopDetected: lambda request, _: request.respond(
        508,
        "LOOP_DETECTED",
        "The bridge's upstream is the bridge itself; BRIDGE_UPSTREAM must be the URL of an MLflow server.",
    ),
    TooManyFailures: lambda request, _: request.respond(
        429,
        "REQUEST_LIMIT_EXCEEDED",
        "Too many failed logins from this address. Try again in a minute.",
        retry_after_s=60,
    ),
    SignInAgain: lambda request, e: request.respond(401, "SIGN_IN_AGAIN", f"{e}"),
    RequestInProgress: lambda request, _: request.retry_later(
        "The same signed request is in progress.", retry_after_s=10
    ),
    Forbidden: lambda request, e: request.respond(403, "PERMISSION_DENIED", f"{e}"),
    IssuerUnavailable: lambda request, e: request.retry_later(
        f"Authentication is unavailable: {e}. Send the request again.", retry_after_s=5
    ),
    OutsideExperiments: _outside_experiments,
    ExperimentUnknown: lambda request, e: request.retry_later(
        f"The experiment of this request can't be looked up now: {e}. Send the request again.", retry_after_s=5
    ),
    NotForwarded: lambda request, _: request.respond(
        403, "PERMISSION_DENIED", "The bridge does not forward this call: MLflow accepts it from its own host only."
    ),
    CountChanged: _count_changed,
    CrossSiteRequest: lambda request, e: request.respond(403, "PERMISSION_DENIED", str(e)),
    NotOnConsoleHost: lambda request, _: request.respond(
        404, "RESOURCE_DOES_NOT_EXIST", "MLflow is not shown under this name, which is for operators only."
    ),
    ActionRefused: lambda request, e: request.respond(403, "PERMISSION_DENIED", f"{e}"),
    EarlierWritesPending: lambda request, _: request.retry_later(
        "Earlier writes of the same run are not delivered yet. Send the write again.", retry_after_s=5
    ),
    Busy: lambda request, _: request.retry_later("Too many requests to upstream are in progress."),
    UpstreamTimeout: lambda request, e: request.respond(504, _UNAVAILABLE, f"{e}."),
    UpstreamUnreachable: lambda request, e: request.respond(502, _UNAVAILABLE, f"{e}."),
    CredentialsUnavailable: _credentials_unavailable,
    UpstreamDenied: lambda request, e: request.respond(403, "PERMISSION_DENIED", f"{e}."),
    RequestIncomplete: lambda request, e: request.respond(400, "BAD_REQUEST", f"{e}."),
    RequestStalled: lambda request, e: request.respond(408, "REQUEST_TIMEOUT", f"{e}."),
    InvalidWrites: _invalid_writes,
    PartlyAccepted: _partly_accepted,
    HTTPException: _http_error,
    Exception: _unexpected,
}
