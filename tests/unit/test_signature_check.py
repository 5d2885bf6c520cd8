# SPDX-License-Identifier: Apache-2.0
"""The verifier that judges the bridge is itself right: by AWS's own vectors, and by requests that botocore signed."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from tests.signature_check import (
    APP,
    TRACKING_SERVER,
    Credentials,
    Refusal,
    SignatureCheck,
    UpstreamKind,
    WireRequest,
)

REGION = "eu-central-1"
HOST = f"{REGION}.experiments.sagemaker.aws"
TARGET = "/api/2.0/mlflow/runs/get%20it?a=1&run_id=x%20y%2Fz"
BODY = b'{"run_id": "r", "key": "loss", "value": 0.5}'
ARN = f"arn:aws:sagemaker:{REGION}:123456789012:mlflow-tracking-server/ours"
SESSION = Credentials("ASIASESSION", "session-secret", "session-token")
USER = Credentials("AKIAUSER", "user-secret")
CHECK = SignatureCheck(credentials=(SESSION, USER), region=REGION, kind=TRACKING_SERVER, arn=ARN)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("sigv4_vectors.json").read_text(encoding="utf-8"))
VECTORS_AT = datetime.fromisoformat(VECTORS["at"])
CASES = {case["name"]: case for case in VECTORS["cases"]}

#: In this case the token joins the request after it was signed. SageMaker MLflow wants every x-amz-* header signed, so
#: the case verifies without its token, and with it the request must be refused.
TOKEN_AFTER_SIGNING = "post-sts-token/post-sts-header-after"


def _vector_request(case: dict[str, Any]) -> WireRequest:
    headers = [(name, value) for name, value in case["headers"]]
    # `get-vanilla-with-session-token` signs a token that its raw request leaves to the signer to add.
    if case["session_token"] and "x-amz-security-token" not in {name.lower() for name, _ in headers}:
        headers.append(("X-Amz-Security-Token", case["session_token"]))
    headers.append(("Authorization", case["authorization"]))
    target = case["path"] + (f"?{case['query']}" if case["query"] else "")
    return WireRequest(method=case["method"], target=target, headers=headers, body=case["body"].encode())


def _vector_check(session_token: str | None) -> SignatureCheck:
    known = Credentials(VECTORS["access_key"], VECTORS["secret_key"], session_token)
    kind = UpstreamKind(VECTORS["service"], arn_header=None)
    return SignatureCheck(credentials=(known,), region=VECTORS["region"], kind=kind, arn=None)


def test_the_vectors_are_all_of_awss_suite() -> None:
    assert len(CASES) == len(VECTORS["cases"]) == 34


@pytest.mark.parametrize("name", CASES)
def test_a_request_of_awss_test_suite_is_let_in(name: str) -> None:
    case = CASES[name]
    assert _vector_check(case["session_token"]).refusal(_vector_request(case), VECTORS_AT) is None


@pytest.mark.parametrize("name", CASES)
def test_a_request_of_awss_test_suite_is_refused_when_its_signature_is_another(name: str) -> None:
    case = CASES[name]
    start, signature = case["authorization"][:-64], case["authorization"][-64:]
    forged = {**case, "authorization": start + signature[::-1]}
    refusal = _vector_check(case["session_token"]).refusal(_vector_request(forged), VECTORS_AT)
    assert refusal is not None
    assert refusal.error_type == "InvalidSignatureException"


@pytest.mark.parametrize("name", CASES)
def test_a_vectors_string_to_sign_names_its_canonical_request(name: str) -> None:
    case = CASES[name]
    assert case["string_to_sign"].endswith("\n" + hashlib.sha256(case["canonical_request"].encode()).hexdigest())


def test_a_token_that_joined_after_signing_is_refused() -> None:
    token = CASES["post-sts-token/post-sts-header-before"]["session_token"]
    request = _with_header(_vector_request(CASES[TOKEN_AFTER_SIGNING]), "X-Amz-Security-Token", token)
    refusal = _vector_check(token).refusal(request, VECTORS_AT)
    assert refusal == Refusal(
        "InvalidSignatureException", "'x-amz-security-token' must be a 'SignedHeader' in the Authorization."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs like a well-behaved client, by botocore; each field is one thing to get wrong."""

    credentials: Credentials = SESSION
    region: str = REGION
    service: str = TRACKING_SERVER.service
    arn_header: str | None = TRACKING_SERVER.arn_header
    arn: str = ARN
    method: str = "POST"
    target: str = TARGET
    body: bytes = BODY
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    def sign(self) -> WireRequest:
        request = AWSRequest(self.method, f"https://{HOST}{self.target}", dict(self.headers), self.body)
        request.headers["Host"] = HOST
        if self.arn_header:
            request.headers[self.arn_header] = self.arn
        keys = self.credentials
        signer = SignerCredentials(keys.access_key, keys.secret_key, keys.session_token)
        SigV4Auth(signer, self.service, self.region).add_auth(request)
        return WireRequest(
            method=self.method, target=self.target, headers=tuple(request.headers.items()), body=self.body
        )


def _with_header(request: WireRequest, name: str, value: str | None) -> WireRequest:
    others = [pair for pair in request.headers if pair[0].lower() != name.lower()]
    return replace(request, headers=[*others, *([] if value is None else [(name, value)])])


def _refused_as(request: WireRequest, check: SignatureCheck = CHECK, *, now: datetime | None = None) -> str:
    refusal = check.refusal(request, now or datetime.now(UTC))
    assert refusal is not None, "the request was let in"
    return f"{refusal.status} {refusal.error_type}"


@pytest.mark.parametrize(
    "signer",
    [
        Signer(),
        Signer(credentials=USER),
        Signer(method="GET", body=b""),
        Signer(target="/api/2.0/mlflow/registered-models/%E1%88%B4/a%2Fb//c/../d~e"),
        Signer(target="/api/2.0/mlflow/artifacts/models:/name/1"),
        Signer(target="/api/2.0/mlflow/runs/search?b=2&a=%2B&a=&c"),
        Signer(headers=(("X-Amz-Content-SHA256", hashlib.sha256(BODY).hexdigest()),)),
        Signer(headers=(("Content-Type", "application/json"), ("x-mlflow-workspace", "  two   words "))),
    ],
    ids=["session", "user", "no body", "escaped path", "colon-slash path", "query", "declared hash", "spaced header"],
)
def test_a_request_that_botocore_signed_is_let_in(signer: Signer) -> None:
    assert CHECK.refusal(signer.sign(), datetime.now(UTC)) is None


def test_a_request_to_an_app_is_let_in_by_the_apps_check() -> None:
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:mlflow-app/app-1"
    check = replace(CHECK, kind=APP, arn=arn)
    signer = Signer(service="sagemaker", arn_header="x-sm-mlflow-app-arn", arn=arn)
    assert check.refusal(signer.sign(), datetime.now(UTC)) is None
    assert _refused_as(Signer().sign(), check) == "403 InvalidSignatureException"


MISMATCH = "The request signature we calculated does not match the signature you provided."


@pytest.mark.parametrize(
    "tamper",
    [
        lambda signed: replace(signed, body=BODY.replace(b"0.5", b"0.6")),
        lambda signed: replace(signed, target=TARGET.replace("get%20it", "get%20them")),
        lambda signed: replace(signed, target=TARGET.replace("get%20it", "get%2520it")),
        lambda signed: replace(signed, target=TARGET.replace("a=1", "a=2")),
        lambda signed: replace(signed, target=TARGET + "&b=1"),
        lambda signed: replace(signed, method="PUT"),
        lambda signed: _with_header(signed, "x-mlflow-sm-tracking-server-arn", ARN + "s"),
        lambda signed: _with_header(signed, "Content-Type", "text/plain"),
        lambda signed: _with_header(signed, "Host", "elsewhere.example"),
    ],
    ids=["body", "path", "path encoding", "query", "longer query", "method", "ARN", "content type", "host"],
)
def test_a_request_that_was_changed_after_signing_is_refused(tamper: Callable[[WireRequest], WireRequest]) -> None:
    tampered = tamper(Signer().sign())
    assert CHECK.refusal(tampered, datetime.now(UTC)) == Refusal("InvalidSignatureException", MISMATCH)


@pytest.mark.parametrize(
    "declared", [hashlib.sha256(b"").hexdigest(), "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]
)
def test_a_declared_hash_that_is_not_the_bodys_is_refused_although_it_was_signed(declared: str) -> None:
    signer = Signer(headers=(("X-Amz-Content-SHA256", declared),))
    assert _refused_as(signer.sign()) == "403 InvalidSignatureException"


def test_a_body_that_was_changed_is_refused_when_its_hash_was_declared() -> None:
    signed = Signer(headers=(("X-Amz-Content-SHA256", hashlib.sha256(BODY).hexdigest()),)).sign()
    assert _refused_as(replace(signed, body=BODY + b" ")) == "403 InvalidSignatureException"


@pytest.mark.parametrize(
    "signer",
    [
        Signer(region="us-east-1"),
        Signer(service="sagemaker"),
        Signer(credentials=replace(SESSION, secret_key="another")),
        Signer(target="/api/2.0/mlflow/runs/get?run_id=models:/x"),
    ],
    ids=["region", "service", "secret", "uncanonical query"],
)
def test_a_signature_made_with_the_wrong_ingredient_is_refused(signer: Signer) -> None:
    assert _refused_as(signer.sign()) == "403 InvalidSignatureException"


def test_a_signature_sixteen_minutes_old_is_refused_as_expired() -> None:
    signed = Signer().sign()
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=16)
    refusal = CHECK.refusal(signed, now)
    assert refusal is not None
    assert refusal.error_type == "InvalidSignatureException"
    stamp, edge = signed.values("x-amz-date")[0], now - timedelta(minutes=5)
    assert refusal.message == (
        f"Signature expired: {stamp} is now earlier than {edge:%Y%m%dT%H%M%SZ} ({now:%Y%m%dT%H%M%SZ} - 5 min.)"
    )


def test_a_signature_is_good_for_five_minutes_either_way_and_no_longer() -> None:
    signed = Signer().sign()
    signed_at = datetime.strptime(signed.values("x-amz-date")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    edge, second = timedelta(minutes=5), timedelta(seconds=1)
    assert CHECK.refusal(signed, signed_at + edge) is None
    assert CHECK.refusal(signed, signed_at - edge) is None
    assert _refused_as(signed, now=signed_at + edge + second) == "403 InvalidSignatureException"
    early = CHECK.refusal(signed, signed_at - edge - second)
    assert early is not None
    assert early.message.startswith("Signature not yet current: ")


def test_a_date_that_was_moved_into_the_window_is_refused() -> None:
    later = datetime.now(UTC) + timedelta(minutes=16)
    moved = _with_header(Signer().sign(), "X-Amz-Date", f"{later:%Y%m%dT%H%M%SZ}")
    assert _refused_as(moved, now=later) == "403 InvalidSignatureException"


def test_a_scope_of_another_day_is_refused() -> None:
    signed = Signer().sign()
    authorization = signed.values("authorization")[0]
    day = signed.values("x-amz-date")[0][:8]
    other_day = _with_header(signed, "Authorization", authorization.replace(day, "20150830"))
    refusal = CHECK.refusal(other_day, datetime.now(UTC))
    assert refusal == Refusal(
        "InvalidSignatureException", f"Credential should be scoped to date '{day}', not '20150830'."
    )


@pytest.mark.parametrize("name", ["X-Amz-Target", "x-amz-meta-note"])
def test_an_x_amz_header_that_was_not_signed_is_refused(name: str) -> None:
    assert _refused_as(_with_header(Signer().sign(), name, "sneaked in")) == "403 InvalidSignatureException"


def test_an_arn_header_that_was_not_signed_is_refused() -> None:
    unsigned = _with_header(Signer(arn_header=None).sign(), "x-mlflow-sm-tracking-server-arn", ARN)
    assert _refused_as(unsigned) == "403 InvalidSignatureException"


def test_a_signed_header_that_got_lost_is_refused() -> None:
    assert _refused_as(_with_header(Signer().sign(), "Content-Type", None)) == "403 InvalidSignatureException"


@pytest.mark.parametrize("signer", [Signer(arn=ARN + "s"), Signer(arn_header=None)], ids=["another ARN", "no ARN"])
def test_a_good_signature_for_another_resource_is_denied(signer: Signer) -> None:
    assert _refused_as(signer.sign()) == "403 AccessDeniedException"


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("ASIAUNKNOWN", "session-secret", "session-token"),
        replace(SESSION, session_token="another-token"),
        replace(SESSION, session_token=None),
        replace(USER, session_token="a token that this user does not need"),
    ],
    ids=["key", "token", "no token", "token too many"],
)
def test_an_unknown_identity_is_refused(credentials: Credentials) -> None:
    assert _refused_as(Signer(credentials=credentials).sign()) == "403 UnrecognizedClientException"


def test_a_token_is_refused_as_expired_from_its_expiry_on() -> None:
    signed = Signer().sign()
    moment = datetime.now(UTC)
    check = replace(CHECK, credentials=(replace(SESSION, expires_at=moment),))
    assert check.refusal(signed, moment - timedelta(seconds=1)) is None
    assert _refused_as(signed, check, now=moment) == "403 ExpiredTokenException"


def test_the_newer_of_two_sessions_with_one_key_is_let_in_while_the_older_has_expired() -> None:
    moment = datetime.now(UTC)
    older = replace(SESSION, session_token="older", expires_at=moment)
    check = replace(CHECK, credentials=(older, SESSION))
    assert check.refusal(Signer().sign(), moment) is None
    assert _refused_as(Signer(credentials=older).sign(), check, now=moment) == "403 ExpiredTokenException"


def test_a_request_without_authorization_is_refused_as_unauthenticated() -> None:
    assert _refused_as(_with_header(Signer().sign(), "Authorization", None)) == "403 MissingAuthenticationToken"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "Bearer token",
        lambda _: "AWS4-HMAC-SHA256",
        lambda good: good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        lambda good: good.replace("/aws4_request", ""),
        lambda good: good.replace("SignedHeaders=", "Headers="),
        lambda good: good.replace("content-type;host", "host;content-type"),
        lambda good: good.replace("content-type;host", "content-type;Host"),
        lambda good: good[:-1],
        lambda good: good[:-1] + "G",
        lambda good: good + ", Signature=" + "0" * 64,
    ],
)
def test_an_authorization_that_is_not_well_formed_is_refused_as_incomplete(spoil: Callable[[str], str]) -> None:
    signed = Signer().sign()
    [good] = signed.values("authorization")
    assert spoil(good) != good
    assert _refused_as(_with_header(signed, "Authorization", spoil(good))) == "400 IncompleteSignature"


@pytest.mark.parametrize("stamp", [None, "", "20261121", "20261321T000000Z", "Sat, 21 Nov 2026 00:00:00 GMT"])
def test_a_request_without_a_readable_date_is_refused_as_incomplete(stamp: str | None) -> None:
    assert _refused_as(_with_header(Signer().sign(), "X-Amz-Date", stamp)) == "400 IncompleteSignature"


def test_a_request_with_two_authorizations_is_refused_as_incomplete() -> None:
    signed = Signer().sign()
    twice = replace(signed, headers=[*signed.headers, ("Authorization", signed.values("authorization")[0])])
    assert _refused_as(twice) == "400 IncompleteSignature"


@pytest.mark.parametrize("target", ["*", "x/api", "https://elsewhere.example/api", "/\x00", "/\udcff"])
def test_a_target_that_cannot_be_judged_is_refused(target: str) -> None:
    assert _refused_as(replace(Signer().sign(), target=target)) == "403 InvalidSignatureException"


def test_a_secret_is_never_shown() -> None:
    shown = repr(CHECK)
    assert "session-secret" not in shown
    assert "session-token" not in shown
