# SPDX-License-Identifier: Apache-2.0
"""Classifies upstream's HTTP responses as outcomes. The one table for deliveries and proxied calls."""

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from bridge.upstream import Call, Delivered, Denied, Outcome, Refused, Unavailable
from schemas.endpoints import find_endpoint

#: A longer ``Retry-After`` is cut, so that a response can't block a lane for days.
_MAX_RETRY_AFTER = dt.timedelta(hours=1)

# AWS's error codes about the caller's identity, https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_IDENTITY_REJECTED = re.compile(
    r"ExpiredToken|IncompleteSignature|InvalidClientTokenId|InvalidSignature|MissingAuthenticationToken|OptInRequired"
    r"|InvalidAccessKeyId|RequestExpired|RequestInTheFuture|RequestTimeTooSkewed|SignatureDoesNotMatch|UnrecognizedClient",
    re.IGNORECASE,
)
_DENIED = re.compile(r"AccessDenied|NotAuthorized|UnauthorizedOperation", re.IGNORECASE)
_THROTTLED = re.compile(r"throttl|rate[ _]?exceeded|too[ _]?many[ _]?requests|request_?limit_?exceeded", re.IGNORECASE)
# MLflow responds with a 5xx although no retry can help, such as for a workspace on a server without workspaces.
_PERMANENT_ERROR_CODES = frozenset({"FEATURE_DISABLED", "NOT_IMPLEMENTED"})
# SQLAlchemy's errors that MLflow passes on as a 400: another writer inserted the row first, or the database is busy.
# https://docs.sqlalchemy.org/en/20/errors.html
_DATABASE_ERROR = re.compile(
    r"\([\w.]*\.(IntegrityError|InterfaceError|InternalError|OperationalError)\)"
    # psycopg names its errors by PostgreSQL's conditions: https://www.postgresql.org/docs/current/errcodes-appendix.html
    r"|\(psycopg2?\.errors\.(UniqueViolation|SerializationFailure|DeadlockDetected|LockNotAvailable|QueryCanceled"
    r"|AdminShutdown|CrashShutdown|CannotConnectNow|TooManyConnections|ConnectionFailure|ConnectionException"
    r"|DiskFull|OutOfMemory|ReadOnlySqlTransaction|IdleInTransactionSessionTimeout|InFailedSqlTransaction)\)"
    # ODBC's SQLSTATE codes: a lost connection, a deadlock, a timeout.
    r"|\(pyodbc\.\w+\) \('(08\w{3}|40\w{3}|HYT0\d)'"
    r"|QueuePool limit|[A-Z]+ statement on table '[^']*' expected to \w+ \d+ row|This Session's transaction has been"
    r"|Can't reconnect until invalid transaction is rolled back|This session is in '\w+' state"
)
_SPAN_EXPORT_FAILED = "Failed to log OpenTelemetry spans"
_EMPTY_OBJECT = re.compile(rb"\s*\{\s*\}\s*")
_UPDATED_RUN = re.compile(rb'\s*\{\s*"run_info"\s*:\s*\{.*\}\s*\}\s*', re.DOTALL)
_LOGIN_REQUIRED = "upstream requires a login that the bridge does not have: status 401"
#: A web application firewall rejects a request with one of these and a page of its own: 406 is ModSecurity's.
_FIREWALL_STATUSES = frozenset({403, 406, 418, 451})
#: F5's firewall sends such a page with 200.
_FIREWALL_PAGE = re.compile(rb"<html.*(support ID|request (was )?(rejected|blocked))", re.IGNORECASE | re.DOTALL)
_PERMANENT_STATUSES = frozenset({400, 404, 409, 415, 422})
#: The statuses with which FastAPI rejects a request and states a ``detail``.
_FASTAPI_REJECTIONS = frozenset({400, 413, 415, 422})
_MAX_MESSAGE_CHARS = 2000
#: More digits would overflow a `timedelta`.
_MAX_RETRY_AFTER_DIGITS = 9
#: The statuses of a server that lacks a call.
_MISSING_CALL_STATUSES = frozenset({404, 405, 501})


class _ErrorBody(msgspec.Struct, frozen=True):
    """The error fields of MLflow (``error_code``, ``message``), AWS (``Message``, ``__type``) and FastAPI."""

    error_code: str = ""
    message: str | None = None
    Message: str | None = None
    type_: str = msgspec.field(default="", name="__type")
    #: FastAPI's error field: a text, or a list of errors.
    detail: object = None


@dataclass(frozen=True, slots=True)
class _ErrorResponse:
    """A response with the error fields of MLflow, FastAPI and AWS."""

    status: int
    headers: Mapping[str, str]
    error_code: str
    message: str
    aws_error: str

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-amzn-requestid")


def classify(
    status: int, headers: Mapping[str, str], body: bytes, *, now: dt.datetime, call: Call | None = None
) -> Outcome:
    """Return the outcome of a call from upstream's response. ``headers`` must be case-insensitive."""
    # Only the export of traces has headers of its own, and MLflow handles it with FastAPI.
    response = _parse_response(status, headers, body, of_fastapi=bool(call and call.headers))
    outcome = _classify(response, body, now=now, call=call)
    if isinstance(outcome, Unavailable):
        code = response.error_code or response.aws_error
        return replace(outcome, error_code=code, request_id=response.request_id)
    return outcome


def _classify(response: _ErrorResponse, body: bytes, *, now: dt.datetime, call: Call | None) -> Outcome:
    status, headers = response.status, response.headers
    if status == 200 and _is_from_mlflow(headers, body, call):
        kept_body = body if call and call.response_field else b""
        return Delivered(status=status, request_id=response.request_id, body=kept_body)
    if _rejects_identity(response) or _denies_call(response) or (status == 200 and _FIREWALL_PAGE.search(body)):
        return _access_outcome(response, call)
    if _throttles(response):
        reason = f"throttled: status {status}"
        return Unavailable(reason=reason, status=status, retry_after=retry_after(headers, now=now), throttled=True)
    if reason := _database_failure(response):
        # The message quotes SQL with the values of writes, so it is no part of the reason, which is logged.
        refusal = _refusal_of_write(response, "")
        return Unavailable(reason=reason, status=status, answered=status == 400, final_refusal=refusal)
    if _is_permanent(response):
        return Refused(
            status=status,
            error_code=response.error_code or "REQUEST_TOO_LARGE",
            message=response.message,
            request_id=response.request_id,
        )
    # The rest are gateways, middleboxes and failing servers: none of them is the write's fault. Only a 500 may be, if
    # upstream keeps failing on this write alone.
    # The response's text is not repeated: MLflow quotes SQL with the values of writes, and the reason is logged.
    reason = f"status {status} with {response.error_code or 'a body that is not from MLflow'}"
    lacks_call = bool(call and call.optional and status in _MISSING_CALL_STATUSES)
    missing = lacks_call or _is_unread_request(status, headers, body)
    final_refusal = _refusal_of_write(response, reason) if status == 500 or missing else None
    wait = retry_after(headers, now=now)
    return Unavailable(reason=reason, status=status, retry_after=wait, final_refusal=final_refusal, missing=missing)


def is_identity_rejected(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether upstream rejects the bridge's identity: its credentials, signature or clock."""
    return _rejects_identity(_parse_response(status, headers, body))


def is_call_denied(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether upstream denies this call, and perhaps only this one. Check `is_identity_rejected` first."""
    return _denies_call(_parse_response(status, headers, body))


def is_throttled(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether upstream throttles. AWS also sends 400 then, with the error type ``ThrottlingException``."""
    return _throttles(_parse_response(status, headers, body))


def retry_after(headers: Mapping[str, str], *, now: dt.datetime) -> dt.timedelta | None:
    """Return the delay of ``Retry-After`` (RFC 9110, section 10.2.3: seconds or a date), None if there is none."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        wait = dt.timedelta(seconds=int(text)) if len(text) <= _MAX_RETRY_AFTER_DIGITS else _MAX_RETRY_AFTER
    else:
        try:
            date = email.utils.parsedate_to_datetime(text)
            wait = (date if date.tzinfo else date.replace(tzinfo=dt.UTC)) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, dt.timedelta()), _MAX_RETRY_AFTER)


def _parse_response(
    status: int, headers: Mapping[str, str], body: bytes, *, of_fastapi: bool = False
) -> _ErrorResponse:
    try:
        fields = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = _ErrorBody()
    aws_error = headers.get("x-amzn-ErrorType", "") or fields.type_
    has_detail = of_fastapi and fields.detail is not None and status in _FASTAPI_REJECTIONS
    message = fields.message or fields.Message or (str(fields.detail) if has_detail else "")
    return _ErrorResponse(
        status=status,
        headers=headers,
        error_code=fields.error_code or ("BAD_REQUEST" if has_detail else ""),
        message=message[:_MAX_MESSAGE_CHARS],
        aws_error=aws_error.split(":")[0],
    )


def _throttles(response: _ErrorResponse) -> bool:
    if response.status in (408, 425, 429):
        return True
    return response.status >= 400 and bool(_THROTTLED.search(response.aws_error + response.error_code))


def _rejects_identity(response: _ErrorResponse) -> bool:
    return response.status == 401 or (response.status >= 400 and bool(_IDENTITY_REJECTED.search(response.aws_error)))


def _denies_call(response: _ErrorResponse) -> bool:
    is_by_firewall = response.status in _FIREWALL_STATUSES and not response.error_code
    is_by_aws = response.status >= 400 and bool(_DENIED.search(response.aws_error))
    return response.status == 403 or is_by_firewall or is_by_aws


def _access_outcome(response: _ErrorResponse, call: Call | None) -> Outcome:
    """Return the outcome of a response that rejects the bridge's identity, or denies the call."""
    if _rejects_identity(response):
        reason = (
            f"AWS refuses the bridge's credentials: {response.aws_error}" if response.aws_error else _LOGIN_REQUIRED
        )
        return Unavailable(reason=reason, status=response.status, identity_failed=True)
    match = find_endpoint(call.method, call.path.partition("?")[0]) if call else None
    action = match.endpoint.action if match else "call"
    if response.aws_error:
        reason = f"AWS denies the bridge the action {action} ({response.aws_error})"
    elif response.error_code:
        reason = f"upstream's MLflow denies the bridge the action {action} ({response.error_code})"
    else:
        reason = f"a gateway before upstream denies the action {action} (status {response.status}, not from MLflow)"
    return Denied(
        reason=reason,
        action=action,
        status=response.status,
        error_code=response.error_code or response.aws_error,
        request_id=response.request_id,
        identified=bool(response.aws_error or response.error_code),
    )


def _database_failure(response: _ErrorResponse) -> str:
    """Return the reason if a rejection is a database failure in disguise: a busy database, or a concurrent insert."""
    if response.status == 400 and _DATABASE_ERROR.match(response.message):
        return f"status 400 with {response.error_code}: another writer was first, or upstream's database is busy"
    return (
        f"status 422: {_SPAN_EXPORT_FAILED}"
        if response.status == 422 and response.message == _SPAN_EXPORT_FAILED
        else ""
    )


def _is_permanent(response: _ErrorResponse) -> bool:
    """Return whether MLflow, or a limit on the size of bodies, rejects the call for good."""
    if response.error_code in _PERMANENT_ERROR_CODES or response.status == 413:
        return True
    return response.status in _PERMANENT_STATUSES and bool(response.error_code)


def _is_unread_request(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether the server could not parse the request. AWS, in contrast, sends 400 when it throttles."""
    is_plain_text = "x-amzn-RequestId" not in headers and not body.lstrip().startswith(b"{")
    return status in (414, 431) or (status == 400 and bool(body) and is_plain_text)


def _is_from_mlflow(headers: Mapping[str, str], body: bytes, call: Call | None) -> bool:
    """Return whether this may be MLflow's response to the call.

    Most calls return an empty object, or the updated run. Any other body is from a middlebox, and to accept it would
    lose the writes. A lane that waits is visible.
    """
    if call and call.headers and not body:
        # The response to a trace export is protobuf, where an empty object has no bytes.
        return headers.get("Content-Type", "").startswith("application/x-protobuf")
    if not call or not call.response_field:
        return bool(_EMPTY_OBJECT.fullmatch(body) or _UPDATED_RUN.fullmatch(body))
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    # MLflow omits empty fields: a search without a result returns an empty object.
    has_no_results = not fields and call.path.endswith("/search")
    return isinstance(fields, dict) and (call.response_field in fields or has_no_results)


def _refusal_of_write(response: _ErrorResponse, reason: str) -> Refused:
    """Return the final outcome if upstream fails on this write each time."""
    message = response.message or f"upstream fails on this write each time: {reason}"
    code = response.error_code or "INTERNAL_ERROR"
    return Refused(status=response.status, error_code=code, message=message, request_id=response.request_id)
