# SPDX-License-Identifier: Apache-2.0
"""What upstream's answer to a delivery means. The one table that decides it."""

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bridge.upstream import Call, Delivered, Denied, Outcome, Refused, Unavailable
from schemas.endpoints import find

#: An answer's ``Retry-After`` can't park a lane for longer than this; after it, the answer is asked for again.
_LONGEST_RETRY_AFTER = dt.timedelta(hours=1)

# Names of AWS's errors about the caller, https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_OURS = re.compile(
    r"ExpiredToken|IncompleteSignature|InvalidClientTokenId|InvalidSignature|MissingAuthenticationToken|OptInRequired"
    r"|RequestExpired|RequestTimeTooSkewed|SignatureDoesNotMatch|UnrecognizedClient",
    re.IGNORECASE,
)
_DENIED = re.compile(r"AccessDenied|NotAuthorized", re.IGNORECASE)
_THROTTLED = re.compile(r"throttl|rate[ _]?exceeded|too[ _]?many[ _]?requests|request_?limit_?exceeded", re.IGNORECASE)
# MLflow answers these with a 5xx although no repetition can help, such as for a workspace on a server without them.
_PERMANENT_CODES = frozenset({"FEATURE_DISABLED", "NOT_IMPLEMENTED"})
# What SQLAlchemy says through MLflow, as a 400, of a row that another writer made first, and of a database under load:
# https://docs.sqlalchemy.org/en/20/errors.html
_OF_DATABASE = re.compile(
    r"\([\w.]*\.(IntegrityError|InterfaceError|InternalError|OperationalError)\)"
    # psycopg names its errors by PostgreSQL's conditions: https://www.postgresql.org/docs/current/errcodes-appendix.html
    r"|\(psycopg2?\.errors\.(UniqueViolation|SerializationFailure|DeadlockDetected|LockNotAvailable|QueryCanceled"
    r"|AdminShutdown|CrashShutdown|CannotConnectNow|TooManyConnections|ConnectionFailure|ConnectionException"
    r"|DiskFull|OutOfMemory|ReadOnlySqlTransaction|IdleInTransactionSessionTimeout|InFailedSqlTransaction)\)"
    # ODBC tells by SQLSTATE: a lost connection, a deadlock, a time-out.
    r"|\(pyodbc\.\w+\) \('(08\w{3}|40\w{3}|HYT0\d)'"
    r"|QueuePool limit|[A-Z]+ statement on table '[^']*' expected to \w+ \d+ row|This Session's transaction has been"
    r"|Can't reconnect until invalid transaction is rolled back|This session is in '\w+' state"
)
_SPANS_FAILED = "Failed to log OpenTelemetry spans"
_EMPTY_OBJECT = re.compile(rb"\s*\{\s*\}\s*")
_UPDATED = re.compile(rb'\s*\{\s*"run_info"\s*:\s*\{.*\}\s*\}\s*', re.DOTALL)
_LOGIN_WANTED = "upstream wants a login that the bridge does not have: status 401"
#: With these a web application firewall refuses one request, and with a page of its own: 406 is ModSecurity's.
_FIREWALL_STATUS = frozenset({403, 406, 418, 451})
#: F5's firewall does so with 200.
_FIREWALL_PAGE = re.compile(rb"<html.*(support ID|request (was )?(rejected|blocked))", re.IGNORECASE | re.DOTALL)
_PERMANENT_STATUS = frozenset({400, 404, 409, 413, 415, 422})
#: How a server says that it does not know a call.
_NOT_FOUND = frozenset({404, 405, 501})


class _Body(msgspec.Struct, frozen=True):
    error_code: str = ""
    message: str | None = None
    Message: str | None = None
    type_: str = msgspec.field(default="", name="__type")
    #: Where MLflow answers with FastAPI: a text, or a list of what is wrong.
    detail: object = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """An answer, as far as it can be understood."""

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
    """Return what an answer to a delivery comes to. ``headers`` must be case-insensitive."""
    answer = _read(status, headers, body, of_fastapi=bool(call and call.headers))
    if status == 200 and _is_mlflows(headers, body, call):
        told = body if call and call.answer else b""
        return Delivered(status=status, request_id=answer.request_id, body=told)
    if _is_ours(answer) or _is_denied(answer) or (status == 200 and _FIREWALL_PAGE.search(body)):
        return _no_access(answer, call)
    if status in (408, 425, 429) or (status >= 400 and _THROTTLED.search(answer.aws_error + answer.error_code)):
        reason = f"throttled: status {status}"
        return Unavailable(reason=reason, status=status, retry_after=retry_after(headers, now=now), throttled=True)
    if reason := _of_its_database(answer):
        # Whose message quotes SQL with the values of writes: it is no part of the reason, which is logged.
        return Unavailable(reason=reason, status=status, answered=status == 400, own_fault=_own_fault(answer, ""))
    if answer.error_code in _PERMANENT_CODES or (status in _PERMANENT_STATUS and (answer.error_code or status == 413)):
        return Refused(
            status=status,
            error_code=answer.error_code or "REQUEST_TOO_LARGE",
            message=answer.message,
            request_id=answer.request_id,
        )
    # What remains is a gateway, a middlebox or a server in trouble: none of them is the write's fault. Only a 500 may
    # turn out to be, if upstream goes on to fail on this write alone.
    # Its words are not repeated: MLflow's quote SQL with the values of writes, and this is logged.
    reason = f"status {status} with {answer.error_code or 'a body that is not from MLflow'}"
    missing = _was_not_read(status, headers, body) or bool(call and call.optional and status in _NOT_FOUND)
    own_fault = _own_fault(answer, reason) if status == 500 or missing else None
    wait = retry_after(headers, now=now)
    return Unavailable(reason=reason, status=status, retry_after=wait, own_fault=own_fault, missing=missing)


def _no_access(answer: _Reading, call: Call | None) -> Outcome:
    if _is_ours(answer):
        reason = f"AWS refuses the bridge's credentials: {answer.aws_error}" if answer.aws_error else _LOGIN_WANTED
        return Unavailable(reason=reason, status=answer.status, ours=True)
    found = find(call.method, call.path.partition("?")[0]) if call else None
    action = found.endpoint.action if found else "call"
    if answer.aws_error:
        reason = f"AWS denies the bridge the action {action} ({answer.aws_error})"
    elif answer.error_code:
        reason = f"upstream's MLflow denies the bridge the action {action} ({answer.error_code})"
    else:
        reason = f"a gateway before upstream denies the action {action} (status {answer.status}, not from MLflow)"
    return Denied(
        reason=reason,
        action=action,
        status=answer.status,
        error_code=answer.error_code or answer.aws_error,
        request_id=answer.request_id,
        identified=bool(answer.aws_error or answer.error_code),
    )


def _of_its_database(answer: _Reading) -> str:
    """Return what a refusal says that is none: upstream's database was busy, failed, or had the row made by another."""
    if answer.status == 400 and _OF_DATABASE.match(answer.message):
        return f"status 400 with {answer.error_code}: another writer was first, or upstream's database is busy"
    return f"status 422: {_SPANS_FAILED}" if answer.status == 422 and answer.message == _SPANS_FAILED else ""


def _was_not_read(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a server says that it could not even read the request. AWS answers 400 when it throttles, too."""
    plain = "x-amzn-RequestId" not in headers and not body.lstrip().startswith(b"{")
    return status in (414, 431) or (status == 400 and bool(body) and plain)


def _is_mlflows(headers: Mapping[str, str], body: bytes, call: Call | None) -> bool:
    """Return whether this may be MLflow's answer to the call.

    Most are answered with an empty object, or the run that was updated. Anything else is not from MLflow, and to
    believe it would be to lose the writes; what waits in vain is seen.
    """
    if call and call.headers and not body:
        # An export is answered in protobuf, whose empty object has no bytes.
        return headers.get("Content-Type", "").startswith("application/x-protobuf")
    if not call or not call.answer:
        return bool(_EMPTY_OBJECT.fullmatch(body) or _UPDATED.fullmatch(body))
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    # What is empty is left out: a search without a hit is answered with an empty object.
    nothing_found = not fields and call.path.endswith("/search")
    return isinstance(fields, dict) and (call.answer in fields or nothing_found)


def _own_fault(answer: _Reading, reason: str) -> Refused:
    message = answer.message or f"upstream fails on this write each time: {reason}"
    code = answer.error_code or "INTERNAL_ERROR"
    return Refused(status=answer.status, error_code=code, message=message, request_id=answer.request_id)


def ours(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether upstream does not accept who the bridge is: its credentials, signature or clock."""
    return _is_ours(_read(status, headers, body))


def denied(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether this call is not allowed, which others may be. Whatever is `ours` is to be looked for before."""
    return _is_denied(_read(status, headers, body))


def _is_ours(answer: _Reading) -> bool:
    return answer.status == 401 or (answer.status >= 400 and bool(_OURS.search(answer.aws_error)))


def _is_denied(answer: _Reading) -> bool:
    of_firewall = answer.status in _FIREWALL_STATUS and not answer.error_code
    return answer.status == 403 or of_firewall or (answer.status >= 400 and bool(_DENIED.search(answer.aws_error)))


def retry_after(headers: Mapping[str, str], *, now: dt.datetime) -> dt.timedelta | None:
    """Return how long the answer asks to be left alone (RFC 9110, section 10.2.3: seconds or a date)."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        wait = dt.timedelta(seconds=int(text) if len(text) < 10 else 10**9)
    else:
        try:
            date = email.utils.parsedate_to_datetime(text)
            wait = (date if date.tzinfo else date.replace(tzinfo=dt.UTC)) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, dt.timedelta()), _LONGEST_RETRY_AFTER)


def _read(status: int, headers: Mapping[str, str], body: bytes, *, of_fastapi: bool = False) -> _Reading:
    try:
        fields = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = _Body()
    aws_error = headers.get("x-amzn-ErrorType", "") or fields.type_
    detailed = of_fastapi and fields.detail is not None and status in (400, 413, 415, 422)
    message = fields.message or fields.Message or (str(fields.detail) if detailed else "")
    return _Reading(
        status=status,
        headers=headers,
        error_code=fields.error_code or ("BAD_REQUEST" if detailed else ""),
        message=message[:2000],
        aws_error=aws_error.split(":")[0],
    )
