# SPDX-License-Identifier: Apache-2.0
"""Signatures as AWS computes them: by its own vectors, and by a verifier that shares nothing with the signer."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from bridge.process.clock import SystemClock
from bridge.upstream.aws.endpoint import Endpoint, SigningScope, endpoint_for
from bridge.upstream.aws.signing import (
    Signer,
    canonical_headers,
    canonical_request,
    canonical_target,
    signature_of,
    string_to_sign,
)
from tests.signature_check import APP, TRACKING_SERVER, Credentials, SignatureCheck, WireRequest

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("sigv4_vectors.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in VECTORS["cases"]}

# All 34 cases apply to this signer. Two need a word:
#: AWS's signer brings the query into canonical form, ours is given it so; of the vectors only this one was not.
MADE_CANONICAL = {"get-vanilla-utf8-query": "the query is raw UTF-8; requests are sent with it percent-encoded"}

#: Here the raw request leaves the token to the signer, which adds it as a header; so does `SigV4Auth.add_auth`.
TOKEN_ADDED = {"get-vanilla-with-session-token"}

REGION = "eu-central-1"
SERVER = f"arn:aws:sagemaker:{REGION}:123456789012:mlflow-tracking-server/ours"
MLFLOW_APP = f"arn:aws:sagemaker:{REGION}:123456789012:mlflow-app/app-1"
KINDS = {SERVER: TRACKING_SERVER, MLFLOW_APP: APP}
SESSION = ReadOnlyCredentials("ASIASESSION", "session-secret", "session-token")
USER = ReadOnlyCredentials("AKIAUSER", "user-secret", None)
JSON = {"Content-Type": "application/json"}
BODY = b'{"run_id":"r","key":"loss","value":0.5}'


@pytest.mark.parametrize("name", CASES)
def test_each_step_towards_a_signature_is_aws_own(name: str) -> None:
    case = CASES[name]
    token = [("X-Amz-Security-Token", case["session_token"])] if name in TOKEN_ADDED else []
    headers = [*((name, value) for name, value in case["headers"]), *token]
    query = canonical_target(f"/?{case['query']}").partition("?")[2]
    url, body = f"https://example.amazonaws.com{case['path']}?{query}", case["body"].encode()
    timestamp = datetime.fromisoformat(VECTORS["at"]).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{VECTORS['region']}/{VECTORS['service']}/aws4_request"

    digest = hashlib.sha256(body).hexdigest()
    request = canonical_request(case["method"], url, canonical_headers(headers), body_sha256=digest)
    text = string_to_sign(request, timestamp=timestamp, credential_scope=scope)
    signature = signature_of(text, secret=VECTORS["secret_key"], credential_scope=scope)

    assert request == case["canonical_request"]
    assert text == case["string_to_sign"]
    assert signature == case["authorization"].rpartition("=")[2]


@pytest.mark.parametrize("name", CASES)
def test_the_queries_of_awss_vectors_are_canonical_already_but_for_the_one_that_says_so(name: str) -> None:
    query = CASES[name]["query"]

    assert (canonical_target(f"/?{query}").partition("?")[2] == query) is (name not in MADE_CANONICAL)


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        ("/", "/"),
        ("/api/2.0/mlflow/runs/get", "/api/2.0/mlflow/runs/get"),
        ("/a?", "/a"),
        ("/a?b", "/a?b="),
        ("/a?b=", "/a?b="),
        ("/a?=1", "/a?=1"),
        ("/a?b=2&a=1&b=1", "/a?b=2&a=1&b=1"),
        ("/a?&&b=1&", "/a?b=1"),
        ("/a?b=x+y", "/a?b=x%20y"),
        ("/a?b=x%20y", "/a?b=x%20y"),
        ("/a?b=%2B", "/a?b=%2B"),
        ("/a?b=%25", "/a?b=%25"),
        ("/a?b=%26%3D", "/a?b=%26%3D"),
        ("/a?b=1=2?3", "/a?b=1%3D2%3F3"),
        ("/a?b=/:,=", "/a?b=%2F%3A%2C%3D"),
        ("/a?p=models:/x/1", "/a?p=models%3A%2Fx%2F1"),
        ("/a?b=%2f%3a", "/a?b=%2F%3A"),
        ("/a?b=%C3%A9", "/a?b=%C3%A9"),
        ("/a?b=é", "/a?b=%C3%A9"),
        ("/a?b=%ff%00", "/a?b=%FF%00"),
        ("/a?b=%zz%", "/a?b=%25zz%25"),
        ("/a?b=a;c", "/a?b=a%3Bc"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/a+b@c=d", "/a%2Bb%40c%3Dd"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/%252F", "/%252F"),
        ("/models:/x", "/models%3A/x"),
        ("/a;b,c", "/a%3Bb%2Cc"),
        ("//a//b/", "//a//b/"),
        ("/a/../b", "/a/../b"),
        ("/~a-b.c_d", "/~a-b.c_d"),
        ("/%7Ea", "/~a"),
        ("/été/%C3%A9", "/%C3%A9t%C3%A9/%C3%A9"),
        ("/%C3%28", "/%C3%28"),
        ("/%", "/%25"),
        ("/a#b", "/a%23b"),
        ("/a%3Fb", "/a%3Fb"),
    ],
)
def test_a_target_has_one_spelling_that_means_the_same(target: str, canonical: str) -> None:
    assert canonical_target(target) == canonical
    assert canonical_target(canonical) == canonical


class Source:
    """Gives credentials and counts how often it was asked."""

    def __init__(self, credentials: ReadOnlyCredentials) -> None:
        self._credentials = credentials
        self.asked = 0
        self.forgotten = 0

    def frozen(self) -> ReadOnlyCredentials:
        self.asked += 1
        return self._credentials

    def is_ready(self) -> bool:
        return True

    def invalidate(self) -> None:
        self.forgotten += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Signs and sends like `HttpUpstream` does, to a verifier."""

    arn: str = SERVER
    override: str | None = None
    credentials: ReadOnlyCredentials = SESSION

    def send(
        self, method: str = "POST", target: str = "/a", headers: Mapping[str, str] = JSON, body: bytes = BODY
    ) -> WireRequest:
        endpoint, sent = self._endpoint(), canonical_target(target)
        signer = Signer(_scope(endpoint), Source(self.credentials), clock=SystemClock())
        digest = hashlib.sha256(body).hexdigest()
        signed = signer.sign(method, endpoint.url + sent, headers, host=endpoint.host, body_sha256=digest)
        prefix = endpoint.url.partition("://")[2].removeprefix(endpoint.host)
        return WireRequest(method=method, target=prefix + sent, headers=[*headers.items(), *signed.items()], body=body)

    def let_in(self, request: WireRequest) -> bool:
        keys = self.credentials
        known = Credentials(keys.access_key, keys.secret_key, keys.token)
        check = SignatureCheck(credentials=(known,), region=REGION, kind=KINDS[self.arn], arn=self.arn)
        return check.refusal(request, datetime.now(UTC)) is None

    def _endpoint(self) -> Endpoint:
        return endpoint_for(self.arn, self.override)


def _scope(endpoint: Endpoint) -> SigningScope:
    assert endpoint.scope
    return endpoint.scope


SENDERS = [
    *(Sender(arn=arn, credentials=credentials) for arn in KINDS for credentials in (SESSION, USER)),
    Sender(override="https://vpce-1.example:8443/prefix/"),
    Sender(arn=MLFLOW_APP, override="http://127.0.0.1:8080"),
]


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(
    ("method", "body"),
    [("POST", BODY), ("POST", b""), ("GET", b""), ("PATCH", "é\u0000".encode() * 99), ("DELETE", b"")],
)
def test_a_signed_request_is_let_in(sender: Sender, method: str, body: bytes) -> None:
    assert sender.let_in(sender.send(method, "/api/2.0/mlflow/runs/log-metric", JSON, body))


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(
    "target",
    [
        *("/", "/a b", "/a%20b", "/a%2Fb", "/a+b@c=d", "/models:/x", "//a//b/", "/a/../b/./c", "/~a", "/été", "/a;b,c"),
        *("/%252F", "/%ff", "/a?", "/a?b", "/a?b=", "/a?b=x+y", "/a?b=%2B", "/a?b=%C3%A9", "/a?b=%25", "/a?b=%2f"),
        *("/a?p=models:/x/1", "/a?b=2&a=1&b=1&a", "/a?b=/:,=", "/a?b=é", "/a?filter=metrics.`x y` > 0.5 AND a='b'"),
    ],
)
def test_a_signed_request_is_let_in_whatever_its_path_and_query(sender: Sender, target: str) -> None:
    assert sender.let_in(sender.send("GET", target, {}, b""))


@pytest.mark.parametrize("sender", SENDERS)
def test_a_clients_headers_stay_unsigned_so_that_a_hop_may_change_them(sender: Sender) -> None:
    extra = {
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "User-Agent": "u",
        "X-MLFLOW-WORKSPACE": "w",
        "Range": "bytes=0-",
    }
    request = sender.send(headers=JSON | extra)
    changed = [(name, "another" if name in extra else value) for name, value in request.headers]

    assert sender.let_in(WireRequest(method="POST", target=request.target, headers=changed, body=BODY))


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("name", ["Content-Type", "Host", "X-Amz-Content-SHA256", "X-Amz-Date"])
def test_what_matters_is_signed_so_that_no_hop_may_change_it(sender: Sender, name: str) -> None:
    request = sender.send()
    changed = [(header, value + "0" if header == name else value) for header, value in request.headers]

    assert name in dict(request.headers)
    assert not sender.let_in(WireRequest(method="POST", target=request.target, headers=changed, body=BODY))


@pytest.mark.parametrize("arn", KINDS)
def test_only_the_fixed_headers_are_signed(arn: str) -> None:
    request = Sender(arn=arn).send(headers={"content-type": "application/json", "Accept": "a", "X-Custom": "c"})

    signed = request.values("authorization")[0].partition("SignedHeaders=")[2].partition(",")[0].split(";")

    fixed = {"content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
    assert set(signed) == fixed | {KINDS[arn].arn_header}


def test_without_a_token_no_token_is_sent() -> None:
    assert Sender(credentials=USER).send().values("x-amz-security-token") == []
    assert Sender(credentials=SESSION).send().values("x-amz-security-token") == ["session-token"]


def test_credentials_are_asked_for_at_each_signature() -> None:
    source = Source(USER)
    signer = Signer(_scope(endpoint_for(SERVER)), source, clock=SystemClock())

    for _ in range(3):
        signer.sign("GET", "https://h/", {}, host="h", body_sha256=hashlib.sha256(b"").hexdigest())

    assert source.asked == 3


def test_credentials_that_are_refused_are_looked_for_anew() -> None:
    source = Source(USER)

    Signer(_scope(endpoint_for(SERVER)), source, clock=SystemClock()).invalidate_credentials()

    assert source.forgotten == 1
