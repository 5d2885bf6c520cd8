# SPDX-License-Identifier: Apache-2.0
"""What an error is answered with: MLflow's error on MLflow's paths, a problem document on the bridge's own."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException

from api.http.exceptions import (
    Busy,
    Forbidden,
    LoopDetected,
    MalformedFraming,
    NotForwarded,
    OutsideExperiments,
    PartlyAccepted,
    RequestInProgress,
    TooManyFailures,
    Unauthenticated,
)
from api.http.paths import is_own_path
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
    UpstreamDenied,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from schemas.bodies.bulk import InvalidWrites
from schemas.client_retries import is_repeated_after_503
from schemas.endpoints import OTLP_PATH, find
from schemas.errors import InvalidWrite, MissingHeader
from schemas.problem import Fault, MlflowError, Problem

_LOG = logging.getLogger(__name__)

_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"


def error_response(error: Exception, *, method: str, path: str, request_id: str, client: str = "") -> Response:
    """Return the answer to a client's request that ended in this error; what operators must know goes to the log."""
    asked = _Asked(method, path, request_id, client)
    for kind in type(error).__mro__:
        if kind in _REPLIES:
            return _REPLIES[kind](asked, error)
    raise error


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request that is answered."""

    method: str
    path: str
    request_id: str
    client: str = ""

    def log(self, event: str, *, level: int = logging.ERROR, error: Exception | None = None, **fields: str) -> None:
        """Log what it met with, so that it is found by the request's id."""
        known = {**fields, "client": self.client, "path": self.path, "request_id": self.request_id}
        _LOG.log(level, event, exc_info=error, extra={"fields": known})

    def answer(
        self, status: int, error_code: str, message: str, *, wait: int | None = None, errors: tuple[Fault, ...] = ()
    ) -> Response:
        """Answer with an error, in the form that this path's callers expect."""
        retry = (("Retry-After", str(wait)),) if wait is not None else ()
        if self.path == OTLP_PATH:
            # In the form of FastAPI, with which MLflow answers there.
            return Response(status, msgspec.json.encode({"detail": message}), headers=retry)
        if not is_own_path(self.path):
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

    def short_of(self, message: str, *, wait: int = 1) -> Response:
        """Answer that the bridge is short of something, with a status after which MLflow's client comes again."""
        found = find(self.method, self.path)
        is_mlflows = found is not None or not is_own_path(self.path)
        repeated = not is_mlflows or is_repeated_after_503(self.method, found.op if found else None)
        return self.answer(503 if repeated else 429, _UNAVAILABLE, message, wait=wait)


def _missing_header(_: _Asked, error: MissingHeader) -> Response:
    fault = {"type": "missing", "loc": ["header", error.name], "msg": "Field required", "input": None}
    return Response(error.status, msgspec.json.encode({"detail": [fault]}))


def _store_unavailable(asked: _Asked, error: Exception) -> Response:
    asked.log("store_unavailable", reason=str(error))
    return asked.short_of("The bridge's store can't be relied on now, so nothing is promised. Send the request again.")


def _over_cap(asked: _Asked, error: OverCap) -> Response:
    asked.log("over_cap", level=logging.WARNING, cap=error.cap)
    owner = {"lane": "run", "client": "client", "store": "bridge"}[error.cap]
    if error.most is not None:
        message = f"The write is larger than all that may wait of this {owner}, {error.most} bytes."
        message += " Send smaller ones; each with an Idempotency-Key of its own, if with any."
        return asked.answer(413, "REQUEST_TOO_LARGE", message)
    if error.cap == "store":
        return asked.short_of(
            "The bridge's store is nearly full; it takes writes again when some have been delivered.", wait=5
        )
    message = f"Too much of this {owner} waits to be delivered. Send the write again later."
    return asked.answer(429, "REQUEST_LIMIT_EXCEEDED", message, wait=5)


def _credentials_unavailable(asked: _Asked, error: Exception) -> Response:
    # The client can't mend it and need not know more; the operator finds the reason in the log.
    asked.log("credentials_unavailable", reason=str(error))
    return asked.answer(502, _UNAVAILABLE, "The bridge can't authenticate to upstream.")


def _not_within(asked: _Asked, error: OutsideExperiments) -> Response:
    denied, text = "PERMISSION_DENIED", str(error)
    faults = () if error.pointer is None else (Fault(error.pointer, denied, text),)
    return asked.answer(403, denied, text, errors=faults)


def _http_error(asked: _Asked, error: HTTPException) -> Response:
    code = {
        404: "RESOURCE_DOES_NOT_EXIST",
        405: "METHOD_NOT_ALLOWED",
        409: "RESOURCE_CONFLICT",
        413: "REQUEST_TOO_LARGE",
    }.get(error.code or 500, "BAD_REQUEST")
    reply = asked.answer(error.code or 500, code, error.description or error.name)
    # Of what the error says in headers, only which methods there are instead is for the client.
    allowed = getattr(error, "valid_methods", None)
    return replace(reply, headers=(("Allow", ", ".join(sorted(allowed))),)) if allowed else reply


def _invalid_writes(asked: _Asked, error: InvalidWrites) -> Response:
    return asked.answer(400, "INVALID_PARAMETER_VALUE", str(error), errors=error.faults)


def _partly_accepted(asked: _Asked, error: PartlyAccepted) -> Response:
    reply = error_response(
        error.reason, method=asked.method, path=asked.path, request_id=asked.request_id, client=asked.client
    )
    problem = msgspec.json.decode(reply.body, type=Problem)
    advice = "`jobs` says which. Send the others again, or with an Idempotency-Key the whole request."
    if reply.status == 413:
        advice = "`jobs` says which. Send the others again without the one that `errors` names."
        fault = Fault(error.pointer or "", "REQUEST_TOO_LARGE", problem.detail or "")
        problem = msgspec.structs.replace(problem, errors=(fault,))
    detail = f"{error}; {advice} {problem.detail}"
    return replace(reply, body=msgspec.json.encode(msgspec.structs.replace(problem, detail=detail, jobs=error.jobs)))


def _unauthenticated(asked: _Asked, error: Exception) -> Response:
    advice = "Say who you are with an API key (Authorization: Bearer mbk_...), or as whoever runs the bridge told you."
    reply = asked.answer(401, "UNAUTHENTICATED", str(error) or advice)
    ways = (("WWW-Authenticate", 'Basic realm="mlflow-bridge", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))
    return replace(reply, headers=ways)


def _misframed(asked: _Asked, error: MalformedFraming) -> Response:
    reply = asked.answer(error.status, "BAD_REQUEST", str(error))
    return replace(reply, headers=(("Connection", "close"),))


def _unexpected(asked: _Asked, error: Exception) -> Response:
    asked.log("unexpected_error", error=error)
    return asked.answer(500, "INTERNAL_ERROR", "The bridge has a defect; its log says more.")


# By the class of the error; the nearest base class counts.
_REPLIES: dict[type, Callable[[_Asked, Any], Response]] = {
    InvalidWrite: lambda asked, e: asked.answer(e.status, e.error_code, e.message),
    MissingHeader: _missing_header,
    OverCap: _over_cap,
    OverQuota: lambda asked, e: asked.answer(
        429, "REQUEST_LIMIT_EXCEEDED", f"{e}. Send it again later.", wait=math.ceil(e.wait)
    ),
    StoreUnavailable: _store_unavailable,
    ShuttingDown: lambda asked, _: asked.short_of("The bridge is stopping. Send the write again.", wait=5),
    Unauthenticated: _unauthenticated,
    MalformedFraming: _misframed,
    LoopDetected: lambda asked, _: asked.answer(
        508, "LOOP_DETECTED", "The bridge's upstream is the bridge itself; BRIDGE_UPSTREAM must name an MLflow."
    ),
    TooManyFailures: lambda asked, _: asked.answer(
        429, "REQUEST_LIMIT_EXCEEDED", "Too many logins from there have failed; wait a minute.", wait=60
    ),
    RequestInProgress: lambda asked, _: asked.short_of("The same signed request is being carried out.", wait=10),
    Forbidden: lambda asked, e: asked.answer(403, "PERMISSION_DENIED", f"{e}"),
    IssuerUnavailable: lambda asked, e: asked.short_of(f"It can't be found out now who asks: {e}.", wait=5),
    OutsideExperiments: _not_within,
    ExperimentUnknown: lambda asked, e: asked.short_of(
        f"It can't be found out now whether this is within the experiments that the client may use: {e}.", wait=5
    ),
    NotForwarded: lambda asked, _: asked.answer(
        403, "PERMISSION_DENIED", "The bridge does not pass this on: MLflow takes it from its own host only."
    ),
    Busy: lambda asked, _: asked.short_of("Too many requests to upstream are under way."),
    UpstreamTimeout: lambda asked, e: asked.answer(504, _UNAVAILABLE, f"{e}."),
    UpstreamUnreachable: lambda asked, e: asked.answer(502, _UNAVAILABLE, f"{e}."),
    CredentialsUnavailable: _credentials_unavailable,
    UpstreamDenied: lambda asked, e: asked.answer(403, "PERMISSION_DENIED", f"{e}."),
    RequestIncomplete: lambda asked, e: asked.answer(400, "BAD_REQUEST", f"{e}."),
    RequestStalled: lambda asked, e: asked.answer(408, "REQUEST_TIMEOUT", f"{e}."),
    InvalidWrites: _invalid_writes,
    PartlyAccepted: _partly_accepted,
    HTTPException: _http_error,
    Exception: _unexpected,
}
