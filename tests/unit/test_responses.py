# SPDX-License-Identifier: Apache-2.0
"""What upstream's answers mean, as a table."""

import datetime as dt
import json
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from bridge.upstream import Call, Delivered, Denied, Outcome, Refused, Unavailable
from bridge.upstream.responses import classify, is_identity_rejected, retry_after

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
HTML = b"<!doctype html><title>Error</title>"
NOT_FOUND = b"Tracking server could not be found"


def answer(status: int, body: bytes = b"", *, call: Call | None = None, **headers: Any) -> Outcome:
    named = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return classify(status, named, body, now=NOW, call=call)


def mlflow(error_code: str, message: str = "reason") -> bytes:
    return json.dumps({"error_code": error_code, "message": message}).encode()


def aws(message: str = "reason") -> bytes:
    return json.dumps({"message": message}).encode()


@pytest.mark.parametrize("body", [b"{}", b" {} ", b"{\n}"])
def test_a_200_with_mlflows_json_is_delivered(body: bytes) -> None:
    assert answer(200, body, x_amzn_RequestId="r-1") == Delivered(status=200, request_id="r-1")
    assert answer(200, body) == Delivered(status=200)


@pytest.mark.parametrize("body", [b"", HTML, b"ok", b"[]", b"null", b'"ok"', b"3", b"{", b"\xff"])
def test_a_200_whose_body_is_not_mlflows_is_a_middlebox_and_delivers_nothing(body: bytes) -> None:
    outcome = answer(200, body)

    assert isinstance(outcome, Unavailable)
    assert (outcome.status, outcome.identity_failed) == (200, False)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 302, 304, 307])
def test_no_other_status_below_400_delivers_anything(status: int) -> None:
    assert isinstance(answer(status, b"{}"), Unavailable)


@pytest.mark.parametrize(
    ("status", "error_code"),
    [
        (400, "INVALID_PARAMETER_VALUE"),
        (400, "INVALID_STATE"),
        (400, "RESOURCE_DOES_NOT_EXIST"),
        (400, "BAD_REQUEST"),
        (404, "RESOURCE_DOES_NOT_EXIST"),
        (409, "RESOURCE_ALREADY_EXISTS"),
    ],
)
def test_mlflows_own_refusal_is_final(status: int, error_code: str) -> None:
    outcome = answer(status, mlflow(error_code, "no such run"), x_amzn_requestid="r-1")

    assert outcome == Refused(status=status, error_code=error_code, message="no such run", request_id="r-1")


@pytest.mark.parametrize("word", ["throttle_rate", "AccessDenied", "too many requests", "ExpiredToken"])
def test_words_in_mlflows_message_do_not_change_what_its_code_says(word: str) -> None:
    outcome = answer(400, mlflow("INVALID_PARAMETER_VALUE", f"Param with key='{word}' was already logged"))

    assert isinstance(outcome, Refused)


def test_of_a_refusals_message_a_bounded_part_is_kept() -> None:
    outcome = answer(400, mlflow("INVALID_PARAMETER_VALUE", "x" * 1_000_000))

    assert isinstance(outcome, Refused)
    assert len(outcome.message) == 2000


@pytest.mark.parametrize(
    ("body", "error_code"), [(b"", "REQUEST_TOO_LARGE"), (HTML, "REQUEST_TOO_LARGE"), (mlflow("TOO_BIG"), "TOO_BIG")]
)
def test_a_413_is_a_refusal_whoever_says_it(body: bytes, error_code: str) -> None:
    outcome = answer(413, body)

    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.error_code) == (413, error_code)


@pytest.mark.parametrize("body", [b"", HTML, aws(), mlflow("PERMISSION_DENIED"), mlflow("INVALID_PARAMETER_VALUE")])
def test_a_401_is_the_bridges_own_trouble_whatever_the_body(body: bytes) -> None:
    outcome = answer(401, body)

    assert isinstance(outcome, Unavailable)
    reason = "upstream requires a login that the bridge does not have: status 401"
    assert (outcome.identity_failed, outcome.reason) == (True, reason)


@pytest.mark.parametrize(
    ("body", "headers", "identified", "said"),
    [
        (b"", {}, False, "a gateway before upstream denies the action LogInputs (status 403, not from MLflow)"),
        (HTML, {}, False, "a gateway before upstream denies the action LogInputs (status 403, not from MLflow)"),
        (
            mlflow("PERMISSION_DENIED"),
            {},
            True,
            "upstream's MLflow denies the bridge the action LogInputs (PERMISSION_DENIED)",
        ),
        (
            aws(),
            {"X_Amzn_ErrorType": "AccessDeniedException:http://internal.amazon.com/coral/"},
            True,
            "AWS denies the bridge the action LogInputs (AccessDeniedException)",
        ),
        (
            b'{"__type": "com.amazon.coral.service#NotAuthorized", "Message": "User: arn:aws:sts::1:x is not allowed"}',
            {},
            True,
            "AWS denies the bridge the action LogInputs (com.amazon.coral.service#NotAuthorized)",
        ),
    ],
    ids=["empty", "a firewall's page", "MLflow", "AWS", "AWS in the body"],
)
def test_any_other_403_is_about_this_call_and_names_its_action(
    body: bytes, headers: dict[str, Any], identified: object, said: str
) -> None:
    outcome = answer(403, body, call=Call(path="/api/2.0/mlflow/runs/log-inputs", body=b"{}"), **headers)

    assert isinstance(outcome, Denied)
    assert (outcome.reason, outcome.action, outcome.identified) == (said, "LogInputs", identified)


@pytest.mark.parametrize("status", [406, 418, 451])
def test_a_firewalls_page_for_one_body_is_about_this_call(status: int) -> None:
    outcome = answer(status, HTML, call=Call(path="/api/2.0/mlflow/runs/log-inputs", body=b"{}"))

    assert isinstance(outcome, Denied)
    assert (outcome.action, outcome.identified) == ("LogInputs", False)
    # MLflow's own answer with such a status is none of a firewall's.
    assert not isinstance(answer(status, mlflow("INVALID_PARAMETER_VALUE")), Denied)


@pytest.mark.parametrize(
    "page",
    [
        b"<html><body>The requested URL was rejected. Your support ID is: 123</body></html>",
        b"<!DOCTYPE html><HTML><title>Request Rejected</title></HTML>",
        b"<html><h1>This request was blocked</h1></html>",
    ],
)
def test_a_firewalls_page_with_200_is_about_this_call(page: bytes) -> None:
    assert isinstance(answer(200, page), Denied)


@pytest.mark.parametrize("status", [400, 403, 503])
@pytest.mark.parametrize("error", ["AccessDeniedException", "AccessDenied", "NotAuthorized"])
def test_aws_denies_a_call_at_any_status(status: int, error: str) -> None:
    assert isinstance(answer(status, aws(), X_Amzn_ErrorType=error), Denied)


INTEGRITY = [
    "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest",
    '(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "dataset_pk"',
    "(psycopg2.IntegrityError) duplicate key value violates unique constraint",
    "(pymysql.err.IntegrityError) (1062, \"Duplicate entry '1-d-x' for key 'PRIMARY'\")",
    "(mysql.connector.errors.IntegrityError) 1062 (23000): Duplicate entry",
    "(pyodbc.IntegrityError) ('23000', 'Violation of PRIMARY KEY constraint')",
    "(psycopg2.errors.DeadlockDetected) deadlock detected",
    "(psycopg2.errors.SerializationFailure) could not serialize access due to concurrent update",
    "(psycopg.errors.AdminShutdown) terminating connection due to administrator command",
    "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction",
    "(pyodbc.Error) ('40001', 'Transaction was deadlocked on lock resources')",
    "(pyodbc.ProgrammingError) ('08S01', 'TCP Provider: connection reset')",
    "Can't reconnect until invalid transaction is rolled back.",
    "This session is in 'prepared' state; no further SQL can be emitted within this transaction.",
]
UNDER_LOAD = [
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    "(psycopg2.InterfaceError) connection already closed",
    "(pymysql.err.InternalError) Packet sequence number wrong - got 1 expected 2",
    "(pymysql.err.OperationalError) (1213, 'Deadlock found when trying to get lock; try restarting transaction')",
    "UPDATE statement on table 'runs' expected to update 1 row(s); 0 were matched.",
    "This Session's transaction has been rolled back due to a previous exception during flush.",
]


@pytest.mark.parametrize("message", [*INTEGRITY, *UNDER_LOAD])
def test_what_the_database_says_of_a_race_or_its_load_is_tried_again_before_it_is_a_refusal(message: str) -> None:
    outcome = answer(400, mlflow("BAD_REQUEST", message))

    assert isinstance(outcome, Unavailable)
    assert (outcome.answered, outcome.final_refusal) == (
        True,
        Refused(status=400, error_code="BAD_REQUEST", message=message),
    )
    assert "datasets" not in outcome.reason


@pytest.mark.parametrize(
    "message",
    [
        "(psycopg2.DataError) value too long for type character varying(250)",
        "Param with key='IntegrityError' was already logged",
        "Invalid value 'Duplicate entry' for parameter 'key' supplied",
    ],
)
def test_what_no_repetition_changes_is_refused_at_once(message: str) -> None:
    assert isinstance(answer(400, mlflow("BAD_REQUEST", message)), Refused)


AWS_ERRORS_ABOUT_US = [
    *("ExpiredTokenException", "ExpiredToken", "IncompleteSignature", "OptInRequired", "RequestExpired"),
    *("InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken", "SignatureDoesNotMatch"),
    "UnrecognizedClientException",
]


@pytest.mark.parametrize("error", AWS_ERRORS_ABOUT_US)
def test_an_aws_error_about_credentials_signature_or_clock_is_ours_at_any_status(error: str) -> None:
    for status in (400, 403, 503):
        outcome = answer(status, aws(), X_Amzn_ErrorType=f"{error}:http://internal.amazon.com/coral/")
        assert outcome == Unavailable(
            reason=f"AWS refuses the bridge's credentials: {error}",
            status=status,
            error_code=error,
            identity_failed=True,
        )


@pytest.mark.parametrize("error", AWS_ERRORS_ABOUT_US)
def test_an_aws_error_is_found_in_the_body_as_well(error: str) -> None:
    body = json.dumps({"__type": f"com.amazon.coral.service#{error}", "Message": "reason"}).encode()

    outcome = answer(400, body)

    assert isinstance(outcome, Unavailable)
    assert outcome.identity_failed


@pytest.mark.parametrize("name", ["x-amzn-ErrorType", "X-Amzn-ErrorType", "X-AMZN-ERRORTYPE", "x-amzn-errortype"])
def test_headers_are_found_in_any_case(name: str) -> None:
    headers = CaseInsensitiveDict({name: "ExpiredTokenException", name.upper().replace("ERRORTYPE", "REQUESTID"): "r"})

    assert is_identity_rejected(400, headers, aws())
    assert classify(200, headers, b"{}", now=NOW) == Delivered(status=200, request_id="r")


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
def test_an_answer_that_says_nothing_of_us_is_not_ours(status: int) -> None:
    headers = CaseInsensitiveDict({"x-amzn-ErrorType": "ThrottlingException"})

    assert not is_identity_rejected(status, headers, aws("AccessDenied is only a word here"))


@pytest.mark.parametrize("status", [408, 425, 429])
@pytest.mark.parametrize("body", [b"", HTML, aws(), mlflow("REQUEST_LIMIT_EXCEEDED")])
def test_slow_down_is_not_the_writes_fault_and_names_its_wait(status: int, body: bytes) -> None:
    outcome = answer(status, body, Retry_After="7")

    assert isinstance(outcome, Unavailable)
    assert (outcome.status, outcome.retry_after, outcome.identity_failed) == (status, dt.timedelta(seconds=7), False)
    assert outcome.reason.startswith("throttled: ")


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("ThrottlingException", aws("Rate exceeded")),
        ("ThrottledException:http://internal", aws()),
        ("TooManyRequestsException", b'{"message":null}'),
        ("RequestLimitExceeded", b""),
        ("", b'{"__type":"com.amazon#ThrottlingException","Message":"Rate exceeded"}'),
        ("", mlflow("ThrottlingException", "Rate exceeded")),
        ("ThrottlingException", mlflow("INVALID_PARAMETER_VALUE")),
    ],
)
def test_a_400_that_throttles_is_never_taken_for_a_refusal(header: str, body: bytes) -> None:
    outcome = answer(400, body, X_Amzn_ErrorType=header, Retry_After="3")

    assert isinstance(outcome, Unavailable)
    assert (outcome.retry_after, outcome.identity_failed) == (dt.timedelta(seconds=3), False)
    assert outcome.reason.startswith("throttled: ")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, NOT_FOUND),
        (404, HTML),
        (404, b""),
        (404, aws("not found")),
        (400, b""),
        (400, HTML),
        (400, b'{"message":null}'),
        (400, aws("Rate exceeded")),
        (405, HTML),
        (409, HTML),
        (410, b""),
        (422, b'{"detail":[]}'),
        *((status, body) for status in (500, 502, 503, 504, 507, 520) for body in (b"", HTML, b"disabled because")),
        (500, mlflow("INTERNAL_ERROR")),
        (503, mlflow("TEMPORARILY_UNAVAILABLE")),
        (504, mlflow("DEADLINE_EXCEEDED")),
        (500, mlflow("INVALID_PARAMETER_VALUE")),
    ],
)
def test_a_gateway_a_stopped_server_or_one_in_trouble_buries_nothing(status: int, body: bytes) -> None:
    outcome = answer(status, body, Retry_After="Sat, 21 Nov 2026 00:00:30 GMT")

    assert isinstance(outcome, Unavailable)
    assert (outcome.status, outcome.identity_failed, outcome.retry_after) == (status, False, dt.timedelta(seconds=30))
    assert outcome.reason


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("3600", 3600),
        ("3601", 3600),
        ("99999999999999999999", 3600),
        ("Sat, 21 Nov 2026 00:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 00:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 01:00:30 +0100", 30),
        ("Fri, 20 Nov 2026 23:59:59 GMT", 0),
        ("Sun, 21 Nov 2027 00:00:00 GMT", 3600),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_an_hour(text: str, wait: int) -> None:
    headers = CaseInsensitiveDict({"RETRY-AFTER": text})

    assert retry_after(headers, now=NOW) == dt.timedelta(seconds=wait)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-5", "1.5", "1e3", "soon", "5, 7", "\u00b2", "Sat, 32 Nov 2026 00:00:30 GMT", "2026-11-21", "NaN"],
)
def test_a_retry_after_that_says_nothing_is_as_good_as_none(text: str) -> None:
    assert retry_after(CaseInsensitiveDict({"Retry-After": text}), now=NOW) is None
    assert retry_after(CaseInsensitiveDict(), now=NOW) is None


PROTOBUF = ("content-type", "application/x-protobuf")
EXPORT = Call(path="/v1/traces", body=b"spans", headers=(PROTOBUF,), optional=True)


def export_answer(status: int, body: bytes = b"", content_type: str = "application/x-protobuf") -> Outcome:
    return classify(status, CaseInsensitiveDict({"Content-Type": content_type}), body, now=NOW, call=EXPORT)


def test_an_export_is_answered_without_a_byte_of_protobuf() -> None:
    assert export_answer(200) == Delivered(status=200)
    assert isinstance(export_answer(200, content_type="text/html"), Unavailable)
    assert isinstance(export_answer(200, b"ok"), Unavailable)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_mlflow_says_of_an_export_in_the_words_of_fastapi_is_a_refusal(status: int) -> None:
    refused = export_answer(status, b'{"detail":"no spans found"}', "application/json")

    assert refused == Refused(status=status, error_code="BAD_REQUEST", message="no spans found")


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [b"", HTML, b'{"detail":"Not Found"}'])
def test_an_upstream_without_exports_may_only_miss_this_call(status: int, body: bytes) -> None:
    missing = export_answer(status, body)

    assert isinstance(missing, Unavailable)
    assert (missing.missing, missing.final_refusal is None) == (True, False)
    assert isinstance(answer(status, body), Unavailable)
    assert not getattr(answer(status, body), "missing")  # noqa: B009 - of an outcome that was just narrowed


@pytest.mark.parametrize(
    ("body", "delivered"),
    [(b'{"run":{}}', True), (b"{}", False), (b'{"runs":[]}', False), (b"[]", False), (b"<p>", False), (b"\xff", False)],
)
def test_a_question_is_answered_with_the_field_that_it_asks_for(body: bytes, *, delivered: bool) -> None:
    asked = Call(path="/api/2.0/mlflow/runs/create", body=b"{}", response_field="run")
    outcome = classify(200, CaseInsensitiveDict(), body, now=NOW, call=asked)

    assert isinstance(outcome, Delivered) == delivered
    assert not isinstance(outcome, Delivered) or outcome.body == body


def test_a_search_that_finds_nothing_is_answered_with_an_empty_object() -> None:
    asked = Call(path="/api/2.0/mlflow/runs/search", body=b"{}", response_field="runs", reads=True)

    assert isinstance(classify(200, CaseInsensitiveDict(), b"{}", now=NOW, call=asked), Delivered)


def test_spans_that_mlflow_could_not_store_for_an_unknown_reason_may_be_stored_later() -> None:
    outcome = export_answer(422, b'{"detail":"Failed to log OpenTelemetry spans"}', "application/json")

    assert isinstance(outcome, Unavailable)
    assert outcome.final_refusal


@pytest.mark.parametrize("status", [400, 414, 431])
def test_a_request_that_a_server_could_not_even_read_says_nothing_about_others(status: int) -> None:
    outcome = answer(status, b"Invalid HTTP request received.")

    assert isinstance(outcome, Unavailable)
    assert (outcome.missing, outcome.final_refusal is None) == (True, False)


@pytest.mark.parametrize(
    ("body", "headers"), [(b'{"message":null}', {}), (b"", {}), (b"no", {"x_amzn_RequestId": "r"})]
)
def test_a_400_that_may_be_a_throttle_never_becomes_the_writes_own_fault(body: bytes, headers: dict[str, Any]) -> None:
    outcome = answer(400, body, **headers)

    assert isinstance(outcome, Unavailable)
    assert (outcome.missing, outcome.final_refusal) == (False, None)
