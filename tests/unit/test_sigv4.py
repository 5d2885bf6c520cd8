# SPDX-License-Identifier: Apache-2.0
"""Which signatures count: by AWS's own vectors, and by requests that botocore signed, which shares no code with us."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.auth.api_keys import is_access_key_id, new_access_key
from bridge.auth.sigv4 import (
    SERVICES,
    InvalidSignature,
    SignedHeaders,
    SignedRequest,
    canonical_request,
    parse_signed_headers,
    signature,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("sigv4_vectors.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in VECTORS["cases"]}

KEY = "MBKA0123456789ABCDEF"
SECRET = "a-secret-that-only-tests-know"
HOST = "bridge.example:8080"
TARGET = "/api/2.0/mlflow/runs/get%20it?run_id=x%20y%2Fz&a=1&a=0&empty=&plus=%2B"
BODY = b'{"run_id": "r", "key": "loss", "value": 0.5}'
HASH = "X-Amz-Content-SHA256"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", CASES)
def test_a_request_of_awss_test_suite_has_the_signature_that_aws_says(name: str) -> None:
    case = CASES[name]
    headers = [(sent.lower().encode(), value.encode()) for sent, value in case["headers"]]
    if case["session_token"] and b"x-amz-security-token" not in dict(headers):
        # In these cases the raw request leaves the token to the signer to add; in one it is added after signing.
        headers.append((b"x-amz-security-token", case["session_token"].encode()))
    names = case["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    received = SignedRequest(
        method=case["method"], path=case["path"].encode(), query=case["query"].encode(), headers=headers
    )

    request = canonical_request(received, names, hashlib.sha256(case["body"].encode()).hexdigest())

    assert request.decode() == case["canonical_request"]
    made = signature(VECTORS["secret_key"], "20150830T123600Z", case["string_to_sign"].split("\n")[2], request)
    assert case["authorization"].endswith(f"Signature={made}")


def signed(
    method: str = "POST",
    target: str = TARGET,
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    **scope: str,
) -> SignedRequest:
    """A request as botocore has signed it, now."""
    request = AWSRequest(method, f"https://{HOST}{target}", JSON if headers is None else headers, body)
    request.headers["Host"] = HOST
    service, region = scope.get("service", SERVICES[0]), scope.get("region", "eu-central-1")
    SigV4Auth(Credentials(scope.get("key", KEY), scope.get("secret", SECRET)), service, region).add_auth(request)
    path, _, query = target.partition("?")
    pairs = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return SignedRequest(method=method, path=path.encode(), query=query.encode(), headers=pairs)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def is_good(received: SignedRequest, body: bytes = BODY, *, secret: str = SECRET) -> bool:
    claim = parse_signed_headers(received, now=now())
    return claim.is_signed_with(secret, received, hashlib.sha256(body).hexdigest())


def why_not(received: SignedRequest, *, at: dt.datetime | None = None) -> str:
    with pytest.raises(InvalidSignature) as caught:
        parse_signed_headers(received, now=at or now())
    return str(caught.value)


def with_header(received: SignedRequest, name: str, *values: str) -> SignedRequest:
    others = [pair for pair in received.headers if pair[0] != name.encode()]
    return replace(received, headers=[*others, *((name.encode(), value.encode()) for value in values)])


def header(received: SignedRequest, name: str) -> str:
    return received.values(name)[0]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("headers", [{}, JSON, {HASH: hashlib.sha256(BODY).hexdigest(), "X-Odd": "  a   b  "}])
def test_what_botocore_has_signed_is_good(service: str, headers: dict[str, str]) -> None:
    received = signed(headers=headers, service=service, region="us-gov-west-1")

    claim = parse_signed_headers(received, now=now())

    assert claim.is_signed_with(SECRET, received, hashlib.sha256(BODY).hexdigest())
    assert (claim.access_key, claim.region, claim.service) == (KEY, "us-gov-west-1", service)
    assert claim.body_sha256 == (headers.get(HASH))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=0, max_size=8)
segments = texts.map(lambda text: quote(text, safe="!$&'()*+,;=:@-._~")).filter(lambda each: each not in (".", ".."))
pairs = st.tuples(texts, texts).map(lambda pair: "=".join(quote(each, safe="-._~") for each in pair))
queries = st.lists(pairs.filter(lambda pair: not pair.lower().startswith("x-amz-")), max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(segments, min_size=1, max_size=5), queries, st.sampled_from(["GET", "POST", "DELETE"]), st.binary())
def test_whatever_path_and_query_botocore_has_signed_is_good_and_no_other(
    path: list[str], query: list[str], method: str, body: bytes
) -> None:
    target = "/" + "/".join(path) + ("?" + "&".join(query) if query else "")
    received = signed(method, target, body)

    assert is_good(received, body)
    assert not is_good(received, body + b" ")
    assert not is_good(replace(received, path=received.path + b"x"), body)
    assert not is_good(replace(received, query=b"&".join([received.query, b"x"])), body)
    assert not is_good(received, body, secret=SECRET + "x")


def test_what_the_client_spells_in_another_way_on_the_wire_means_the_same() -> None:
    received = signed(target="/a%2Fb//c?a=x%20y&b=%2F&c")

    assert is_good(replace(received, path=b"/a%2Fb/c", query=b"c=&b=/&a=x+y"))


@pytest.mark.parametrize(
    ("change"),
    [
        {"method": "PUT"},
        {"path": b"/api/2.0/mlflow/runs/get it"},
        {"path": b"/api/2.0/mlflow/runs/get%2520it"},
        {"path": b"/api/2.0/mlflow/runs/delete"},
        {"path": b"/api/2.0/mlflow/runs/get%20it/"},
        {"query": b""},
        {"query": b"run_id=x%20y%2Fz&a=1&a=0&empty=&plus=+"},
        {"query": b"run_id=x%20y%2Fz&a=1&a=0&empty=&plus=%2B&more=1"},
        {"query": b"run_id=x%20y%2Fz&a=1&empty=&plus=%2B"},
    ],
)
def test_what_was_changed_on_the_way_was_not_signed(change: dict[str, Any]) -> None:
    assert is_good(signed())
    assert not is_good(replace(signed(), **change))


@pytest.mark.parametrize(
    "change",
    [
        lambda good: with_header(good, "host", "elsewhere.example"),
        lambda good: with_header(good, "content-type", "text/plain"),
        lambda good: with_header(good, "x-mlflow-workspace", "other"),
    ],
)
def test_a_header_that_was_signed_can_not_be_changed(change: Callable[[SignedRequest], SignedRequest]) -> None:
    good = signed(headers=JSON | {"X-MLFLOW-WORKSPACE": "mine"})

    assert is_good(good)
    assert not is_good(change(good))


@pytest.mark.parametrize("name", ["x-amz-target", "x-mlflow-workspace", "x-sm-mlflow-app-arn", "idempotency-key"])
def test_a_header_that_would_change_what_a_request_means_can_not_be_added(name: str) -> None:
    assert why_not(with_header(signed(), name, "x")) == f"these headers must be signed: {name}"


def test_what_a_load_balancer_adds_takes_nothing_away() -> None:
    assert is_good(with_header(with_header(signed(), "x-amzn-trace-id", "Root=1"), "x-forwarded-for", "10.0.0.1"))


@pytest.mark.parametrize("name", ["host", "content-type", "x-amz-date", "authorization"])
def test_a_signed_header_comes_once(name: str) -> None:
    value = header(signed(), name)

    assert name in why_not(with_header(signed(), name, value, value))
    assert name in why_not(with_header(signed(), name))


def test_a_signature_counts_for_five_minutes_either_way_and_no_longer() -> None:
    received = signed()
    at = parse_signed_headers(received, now=now()).signed_at
    edge, second = dt.timedelta(minutes=5), dt.timedelta(seconds=1)

    for moment in (at - edge, at + edge):
        assert parse_signed_headers(received, now=moment).signed_at == at
    for moment in (at - edge - second, at + edge + second):
        assert "within five minutes" in why_not(received, at=moment)


def test_the_day_signed_for_is_that_of_the_date() -> None:
    received = signed()
    authorization = header(received, "authorization").replace(header(received, "x-amz-date")[:8], "20150830")

    assert "must be that of X-Amz-Date" in why_not(with_header(received, "authorization", authorization))


@pytest.mark.parametrize("value", ["Sat, 21 Nov 2026 00:00:00 GMT", "20261121", "20261321T000000Z", "²0261121T000000Z"])
def test_a_date_of_another_form_is_none(value: str) -> None:
    assert "X-Amz-Date must be a time" in why_not(with_header(signed(), "x-amz-date", value))


def test_the_header_date_does_not_stand_in_for_x_amz_date() -> None:
    received = with_header(with_header(signed(), "date", "Sat, 21 Nov 2026 00:00:00 GMT"), "x-amz-date")

    assert why_not(received) == "there must be exactly one header x-amz-date, not 0"


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "0" * 63, "A" * 64])
def test_a_body_that_is_not_signed_is_not_taken(value: str) -> None:
    assert "must be the hash of the body" in why_not(signed(headers={HASH: value}))


@pytest.mark.parametrize("query", ["X-Amz-Signature=0", "a=1&x-amz-credential=0", "X%2DAmz-Date=1"])
def test_a_signature_in_the_query_is_not_taken(query: str) -> None:
    assert "in the query" in why_not(signed(target=f"/?{query}"))


def test_a_token_of_awss_is_not_taken() -> None:
    assert "access keys of the bridge have no session token" in why_not(signed(headers={"X-Amz-Security-Token": "t"}))


@pytest.mark.parametrize("service", ["execute-api", "s3", "sagemaker-mlflow2"])
def test_a_signature_for_another_service_is_not_taken(service: str) -> None:
    assert "the service signed for must be" in why_not(signed(service=service))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "Bearer token",
        lambda good: good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        lambda good: good.replace("/aws4_request", ""),
        lambda good: good.replace("/aws4_request", "/aws4_request/x"),
        lambda good: good.replace("SignedHeaders=", "Headers="),
        lambda good: good.replace("content-type;host", "host;content-type"),
        lambda good: good.replace("content-type;host", "content-type;content-type;host"),
        lambda good: good.replace("content-type;host", "content-type;Host"),
        lambda good: good.replace("host;x-amz-date", "host"),
        lambda good: good.replace("content-type;host", "content-type"),
        lambda good: good.replace(KEY, KEY.lower()),
        lambda good: good.replace("eu-central-1", "EU"),
        lambda good: good[:-1],
        lambda good: good[:-64] + good[-64:].upper(),
        lambda good: good + ", Signature=" + "0" * 64,
    ],
)
def test_an_authorization_that_is_not_well_formed_is_none(spoil: Callable[[str], str]) -> None:
    received = signed()
    good = header(received, "authorization")
    assert spoil(good) != good

    why_not(with_header(received, "authorization", spoil(good)))


def test_a_key_has_the_form_that_awss_sdks_take() -> None:
    key = new_access_key()

    assert is_access_key_id(key.key_id)
    assert key.key_id.isalnum()
    assert 16 <= len(key.key_id) <= 128
    assert not key.key_id.startswith(("AKIA", "ASIA"))
    assert len(key.secret) == 43
    assert key.secret not in repr(key)
    assert not any(is_access_key_id(each) for each in ("AKIA0123456789ABCDEF", KEY.lower(), f"{KEY}\n", KEY[:-1]))


def test_what_was_claimed_shows_no_signature() -> None:
    received = signed()
    claim = parse_signed_headers(received, now=now())

    assert isinstance(claim, SignedHeaders)
    for shown in (repr(claim), repr(received)):
        assert claim.signature not in shown
