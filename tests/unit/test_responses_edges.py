# SPDX-License-Identifier: Apache-2.0
"""Answers at the edge of what HTTP and JSON allow, and of what may be believed or told."""

import datetime as dt
import time

import pytest
from requests.structures import CaseInsensitiveDict

from bridge.upstream import Delivered, Refused, Unavailable
from bridge.upstream.responses import classify, retry_after
from tests.factories import NOW


def _classify(status: int, body: bytes, **headers: str) -> object:
    named = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return classify(status, named, body, now=NOW)


def test_an_answer_of_deep_json_is_no_error() -> None:
    assert isinstance(_classify(502, b'{"a":' * 100_000), Unavailable)


@pytest.mark.parametrize("text", ["9" * 5000, "Fri, 31 Dec 9999 23:59:59 -2359"])
def test_no_retry_after_is_an_error(text: str) -> None:
    assert isinstance(_classify(503, b"", Retry_After=text), Unavailable)


def test_a_date_without_a_zone_is_gmt_wherever_the_bridge_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        wait = retry_after(
            CaseInsensitiveDict({"Retry-After": "Sat Nov 21 00:00:30 2026"}),
            now=dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        )
    finally:
        monkeypatch.undo()
        time.tzset()
    assert wait == dt.timedelta(seconds=30)


@pytest.mark.parametrize("body", [b'{"error_code":"INTERNAL_ERROR","message":"no"}', b'{"status":"maintenance"}'])
def test_a_200_that_says_something_else_than_mlflow_delivers_nothing(body: bytes) -> None:
    assert not isinstance(_classify(200, body), Delivered)


def test_a_400_request_limit_exceeded_is_no_refusal() -> None:
    outcome = _classify(400, b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}')
    assert not isinstance(outcome, Refused)


def test_what_is_logged_of_an_outage_holds_no_payload() -> None:
    body = b"""{"error_code":"TEMPORARILY_UNAVAILABLE","message":"locked [parameters: ('api_key', 's3cret')]"}"""
    outcome = _classify(503, body)
    assert isinstance(outcome, Unavailable)
    assert "s3cret" not in outcome.reason  # LaneDeferred.why, which is logged


@pytest.mark.parametrize("code", ["FEATURE_DISABLED", "NOT_IMPLEMENTED"])
def test_a_5xx_that_no_repetition_can_help_is_a_refusal(code: str) -> None:
    outcome = _classify(500, b'{"error_code":"%s","message":"not on this server"}' % code.encode())

    assert outcome == Refused(status=500, error_code=code, message="not on this server")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error_code":"INTERNAL_ERROR","message":"it broke"}', "INTERNAL_ERROR", "it broke"),
        (b"<html>oops</html>", "INTERNAL_ERROR", "upstream fails on this write each time: status 500 with a body that"),
    ],
)
def test_a_500_says_what_it_comes_to_if_it_is_the_writes_own_fault(body: bytes, code: str, message: str) -> None:
    outcome = _classify(500, body)

    assert isinstance(outcome, Unavailable)
    assert outcome.final_refusal
    assert (outcome.final_refusal.status, outcome.final_refusal.error_code) == (500, code)
    assert outcome.final_refusal.message.startswith(message)


@pytest.mark.parametrize("status", [502, 503, 504, 520, 404, 200])
def test_no_other_answer_can_turn_out_to_be_the_writes_own_fault(status: int) -> None:
    outcome = _classify(status, b"<html>oops</html>")

    assert isinstance(outcome, Unavailable)
    assert outcome.final_refusal is None
