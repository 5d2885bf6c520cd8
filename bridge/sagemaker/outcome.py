# SPDX-License-Identifier: Apache-2.0
"""What upstream's answer to a delivery means. The one table that decides it."""

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bridge.upstream import Delivered, Outcome, Refused, Unavailable

#: An answer's ``Retry-After`` can't park a lane for longer than this; after it, the answer is asked for again.
_LONGEST_RETRY_AFTER = dt.timedelta(hours=1)

# Names of AWS's errors about the caller, https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_OURS = re.compile(
    r"AccessDenied|ExpiredToken|IncompleteSignature|InvalidClientTokenId|InvalidSignature|MissingAuthenticationToken"
    r"|NotAuthorized|OptInRequired|RequestExpired|SignatureDoesNotMatch|UnrecognizedClient",
    re.IGNORECASE,
)
_THROTTLED = re.compile(r"throttl|rate ?exceeded|too ?many ?requests|RequestLimitExceeded", re.IGNORECASE)
_PERMANENT_STATUS = frozenset({400, 404, 409, 413, 422})


class _Body(msgspec.Struct, frozen=True):
    error_code: str = ""
    message: str | None = None
    Message: str | None = None
    type_: str = msgspec.field(default="", name="__type")


@dataclass(frozen=True, slots=True)
class _Reading:
    """An answer, as far as it can be understood."""

    status: int
    headers: Mapping[str, str]
    #: Whether the body is a JSON object.
    json: bool
    error_code: str
    message: str
    aws_error: str

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-amzn-requestid")


def classify(status: int, headers: Mapping[str, str], body: bytes, *, now: dt.datetime) -> Outcome:
    """Return what an answer to a delivery comes to. ``headers`` must be case-insensitive."""
    answer = _read(status, headers, body)
    if status == 200 and answer.json:
        return Delivered(status=status, request_id=answer.request_id)
    if ours(status, headers, body):
        why = f"AWS refused the bridge's credentials: {answer.aws_error or status}"
        return Unavailable(why=why, status=status, ours=True)
    if status in (408, 425, 429) or (status >= 400 and _THROTTLED.search(answer.aws_error + answer.error_code)):
        why = f"throttled: {answer.message or status}"
        return Unavailable(why=why, status=status, retry_after=retry_after(headers, now=now))
    if status in _PERMANENT_STATUS and (answer.error_code or status == 413):
        return Refused(
            status=status,
            error_code=answer.error_code or "REQUEST_TOO_LARGE",
            message=answer.message,
            request_id=answer.request_id,
        )
    # What remains is a gateway, a middlebox or a server in trouble: none of them is the write's fault.
    why = f"status {status} with a body that is not MLflow's" if not answer.error_code else answer.message
    return Unavailable(why=why, status=status, retry_after=retry_after(headers, now=now))


def ours(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the answer is about the bridge's credentials, signature, clock or permissions."""
    answer = _read(status, headers, body)
    if status in (401, 403):
        return True
    return status >= 400 and bool(_OURS.search(answer.aws_error))


def retry_after(headers: Mapping[str, str], *, now: dt.datetime) -> dt.timedelta | None:
    """Return how long the answer asks to be left alone (RFC 9110, section 10.2.3: seconds or a date)."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        wait = dt.timedelta(seconds=min(int(text), 10**6))
    else:
        try:
            wait = email.utils.parsedate_to_datetime(text).astimezone(dt.UTC) - now
        except (ValueError, TypeError):
            return None
    return min(max(wait, dt.timedelta()), _LONGEST_RETRY_AFTER)


def _read(status: int, headers: Mapping[str, str], body: bytes) -> _Reading:
    try:
        fields = msgspec.json.decode(body, type=_Body)
        json = True
    except (msgspec.MsgspecError, UnicodeDecodeError):
        fields, json = _Body(), False
    aws_error = headers.get("x-amzn-ErrorType", "") or fields.type_
    return _Reading(
        status=status,
        headers=headers,
        # MLflow's own client takes an empty 200 for an answer; for a delivery it is not proof enough.
        json=json,
        error_code=fields.error_code,
        message=(fields.message or fields.Message or "")[:2000],
        aws_error=aws_error.split(":")[0],
    )
