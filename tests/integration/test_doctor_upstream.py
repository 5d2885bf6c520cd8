# SPDX-License-Identifier: Apache-2.0
"""The doctor on the way to upstream: a real MLflow behind a door that checks signatures, and what is none."""

import datetime as dt
import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.doctor import Finding, examine
from bridge.process.clock import SystemClock
from tests.servers import clean_environ, free_port, script
from tests.signature_front import SignatureFront
from tests.sts_stub import StsStub
from tests.system import ARN, CREDENTIALS, signature_front
from tests.upstream_faults import Answer, Hang

APP_ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-ABC123"
ROLE = "arn:aws:iam::123456789012:role/writer"
NO_STORE = {"BRIDGE_STORE_URL": "redis://127.0.0.1:1", "BRIDGE_PORT": "1"}


@pytest.fixture(autouse=True)
def _nothing_of_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[StsStub]:
    with StsStub() as stub:
        for name, value in stub.environ(CREDENTIALS).items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def front(mlflow_url: str) -> Iterator[SignatureFront]:
    with signature_front(mlflow_url) as door:
        yield door


def looked(upstream: str, endpoint: str = "", **further: str) -> dict[str, Finding]:
    environ = {**NO_STORE, "BRIDGE_UPSTREAM": upstream, "BRIDGE_UPSTREAM_ENDPOINT": endpoint, **further}
    found = {finding.name: finding for finding in examine(environ, SystemClock())}
    assert [finding for finding in found.values() if finding.verdict == "fail" and not finding.fix] == []
    return found


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize("arn", [ARN, APP_ARN])
def test_a_signed_call_that_is_answered_is_well(arn: str, mlflow_url: str) -> None:
    with signature_front(mlflow_url, arn) as front:
        found = looked(arn, front.url)

    assert found["upstream"].verdict == "ok"
    assert found["upstream"].found.startswith("MLflow 3.")
    assert found["upstream clock"].verdict == "ok"
    assert found["aws identity"].found.startswith("arn:aws:sts::123456789012:assumed-role/bridge")
    assert found["aws credentials"].verdict == "warn", "nobody renews a session token of the environment"
    assert CREDENTIALS.secret_key not in str(found)
    assert str(CREDENTIALS.session_token) not in str(found)
    assert "aws role" not in found


def test_an_mlflow_that_wants_no_signature_is_asked_without(mlflow_url: str) -> None:
    found = looked(mlflow_url)

    assert found["upstream"].verdict == "ok"
    assert not [name for name in found if name.startswith("aws")]


@pytest.mark.usefixtures("sts")
def test_a_secret_key_of_another_is_a_wrong_signature(front: SignatureFront) -> None:
    front.accept(replace(CREDENTIALS, secret_key="another"))

    upstream = looked(ARN, front.url)["upstream"]

    assert upstream.verdict == "fail"
    assert upstream.found.endswith("status 403 InvalidSignatureException")
    assert "secret key and access key belong together" in upstream.fix[0]


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize("status", [400, 429])
def test_a_throttled_call_is_no_wrong_address(front: SignatureFront, status: int) -> None:
    front.set_fault(Answer(status, {"x-amzn-ErrorType": "ThrottlingException"}, b'{"message": "Rate exceeded"}'))

    upstream = looked(ARN, front.url)["upstream"]

    assert (upstream.verdict, upstream.found) == ("warn", f"status {status}: it throttles")
    assert "BRIDGE_UPSTREAM_RATE" in upstream.fix[0]


@pytest.mark.usefixtures("sts")
def test_expired_credentials_are_to_be_renewed(front: SignatureFront) -> None:
    front.accept(replace(CREDENTIALS, expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))

    upstream = looked(ARN, front.url)["upstream"]

    assert upstream.found.endswith("status 403 ExpiredTokenException")
    assert "renew the credentials" in upstream.fix[0]


@pytest.mark.usefixtures("sts")
def test_a_clock_that_is_off_is_told_twice(front: SignatureFront) -> None:
    front.clock_offset = dt.timedelta(minutes=6)

    found = looked(ARN, front.url)

    assert found["upstream"].found.startswith("AWS refuses our signature for its time")
    assert "clock" in found["upstream"].fix[0]
    assert found["upstream clock"].verdict == "fail"
    assert "behind upstream's" in found["upstream clock"].found


@pytest.mark.usefixtures("sts")
def test_a_clock_that_is_nearly_off_is_warned_of(front: SignatureFront) -> None:
    front.clock_offset = dt.timedelta(seconds=-60)

    found = looked(ARN, front.url)

    assert found["upstream"].verdict == "ok"
    assert found["upstream clock"].verdict == "warn"
    assert "ahead of upstream's" in found["upstream clock"].found


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize(
    ("arn", "action"), [(ARN, "sagemaker-mlflow:SearchExperiments"), (APP_ARN, "sagemaker:CallMlflowAppApi")]
)
def test_a_permission_that_lacks_is_named(arn: str, action: str, mlflow_url: str) -> None:
    with signature_front(mlflow_url, arn) as front:
        other = looked(arn + "-other", front.url)["upstream"]

    assert other.verdict == "fail"
    assert f"allow {action} on {arn}-other" in other.fix[0]


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize(
    ("answer", "says", "fix"),
    [
        (
            Answer(404, {}, b"Tracking server could not be found"),
            "no such tracking server",
            "start it if it is stopped",
        ),
        (Answer(200, {}, b"<html>welcome to the portal</html>"), "not a response of MLflow", "the address is MLflow's"),
        (Answer(502, {}, b"Bad Gateway"), "a gateway before it fails", "see its log"),
        (
            Answer(302, {"Location": "https://user:s3cret@login.example/x?y"}),
            "to https://login.example",
            "target of the redirect",
        ),
        (Answer(403, {}, b"<html>Forbidden by the firewall</html>"), "status 403", "no firewall responds"),
    ],
)
def test_what_is_no_answer_of_mlflows_says_what_it_may_be(
    front: SignatureFront, answer: Answer, says: str, fix: str
) -> None:
    front.set_fault(answer)

    upstream = looked(ARN, front.url)["upstream"]

    assert upstream.verdict == "fail"
    assert says in upstream.found
    assert fix in " ".join(upstream.fix)
    assert "s3cret" not in str(upstream)
    assert "portal" not in str(upstream), "nothing of a body is shown"


@pytest.mark.usefixtures("sts")
def test_a_server_that_hangs_is_not_waited_for(front: SignatureFront) -> None:
    front.set_fault(Hang(30))

    found = looked(ARN, front.url)

    assert found["upstream"].verdict == "fail"
    assert "ReadTimeout" in found["upstream"].found
    assert found["upstream clock"].verdict == "skipped"


def test_a_server_that_wants_a_login_is_named(front: SignatureFront) -> None:
    assert looked(front.url)["upstream"].found.startswith("status 403: it requires a login")


def test_a_port_that_nobody_listens_on_fails() -> None:
    found = looked(f"http://127.0.0.1:{free_port()}/mlflow")

    assert found["upstream name"].verdict == "ok"
    assert found["upstream connection"].found.startswith("no process listens on 127.0.0.1:")
    assert found["upstream"].verdict == found["upstream clock"].verdict == "skipped"


def test_a_name_that_does_not_resolve_fails() -> None:
    found = looked("http://mlflow.invalid")

    assert found["upstream name"].verdict == "fail"
    assert "mlflow.invalid does not resolve" in found["upstream name"].found
    assert found["upstream connection"].verdict == "skipped"


def test_without_credentials_the_way_is_tried_all_the_same(front: SignatureFront) -> None:
    found = looked(ARN, front.url, BRIDGE_ASSUME_ROLE_ARN=ROLE)

    assert found["aws credentials"].verdict == "fail"
    assert "No AWS credentials were found" in found["aws credentials"].found
    assert found["aws role"].verdict == found["aws identity"].verdict == found["upstream"].verdict == "skipped"
    assert found["upstream connection"].verdict == "ok"


def test_a_role_is_assumed_and_asked_with(front: SignatureFront, sts: StsStub) -> None:
    # Whoever has a session of the role is let in, and nobody else.
    sts.tell = front.accept

    found = looked(ARN, front.url, BRIDGE_ASSUME_ROLE_ARN=ROLE)

    assert found["aws role"].verdict == "ok"
    assert found["aws role"].found.startswith(f"{ROLE} is assumed, renewed before ")
    assert found["upstream"].verdict == "ok"
    assert str(sts.credentials()[0].secret_key) not in str(found)
    assert {asked["RoleArn"] for asked in sts.asked if asked["Action"] == "AssumeRole"} == {ROLE}


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("AccessDenied", "not authorized to perform: sts:AssumeRole", f"sts:AssumeRole on {ROLE}"),
        ("SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2", "clock"),
        ("ExpiredToken", "expired", "renew"),
    ],
)
def test_a_role_that_is_refused_says_why(sts: StsStub, code: str, message: str, fix: str) -> None:
    sts.refusals["AssumeRole"] = (code, message)

    found = looked(ARN, "http://127.0.0.1:1", BRIDGE_ASSUME_ROLE_ARN=ROLE)

    assert found["aws role"].verdict == "fail"
    assert code in found["aws role"].found
    assert fix in " ".join(found["aws role"].fix)
    assert found["aws identity"].verdict == "skipped"


@pytest.mark.parametrize(
    ("code", "message", "verdict", "says"),
    [
        ("AccessDenied", "denied by the endpoint's policy", "warn", "allow sts:GetCallerIdentity"),
        ("InvalidClientTokenId", "The security token is invalid", "fail", "AWS does not know the key"),
        (
            "SignatureDoesNotMatch",
            "Signature not yet current: 2 is later",
            "fail",
            "synchronise the clock of this machine",
        ),
        ("SignatureDoesNotMatch", "does not match", "fail", "belong together"),
    ],
)
def test_who_we_are_may_not_be_told(sts: StsStub, code: str, message: str, verdict: str, says: str) -> None:
    sts.refusals["GetCallerIdentity"] = (code, message)

    identity = looked(ARN, "http://127.0.0.1:1")["aws identity"]

    assert identity.verdict == verdict
    assert says in " ".join(identity.fix)


def test_an_sts_that_can_not_be_reached_matters_only_for_a_role(
    monkeypatch: pytest.MonkeyPatch, front: SignatureFront, sts: StsStub
) -> None:
    assert sts.url
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")

    without = looked(ARN, front.url)
    with_role = looked(ARN, front.url, BRIDGE_ASSUME_ROLE_ARN=ROLE)

    assert without["aws identity"].verdict == "warn"
    assert without["upstream"].verdict == "ok"
    assert with_role["aws role"].verdict == "fail"
    assert "STS" in with_role["aws role"].fix[0]


def test_the_command_says_it_once_and_without_the_words_of_aws(sts: StsStub, tmp_path: Path) -> None:
    sts.refusals["AssumeRole"] = ("AccessDenied", "words-of-aws")
    environ = {**clean_environ(), **sts.environ(CREDENTIALS), **NO_STORE, "AWS_CONFIG_FILE": str(tmp_path / "none")}
    environ |= {
        "BRIDGE_UPSTREAM": ARN,
        "BRIDGE_UPSTREAM_ENDPOINT": "http://127.0.0.1:1",
        "BRIDGE_ASSUME_ROLE_ARN": ROLE,
    }

    command = [script("mlflow-bridge"), "doctor"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (1, "")
    assert f"fail    aws role             {ROLE} can't be assumed: AccessDenied" in done.stdout
    assert "words-of-aws" not in done.stdout
    assert CREDENTIALS.secret_key not in done.stdout


def certificate(directory: Path, *names: str, days: float) -> Path:
    """A certificate that signs itself, and its key, both in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)
    begins, ends = now - dt.timedelta(days=90), now + dt.timedelta(days=days)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begins, ends)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    made = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    path = directory / f"{names[0]}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


class _Mlflow(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"{}" if "search" in self.path else b"3.9.0"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def tls_server(pem: Path) -> Iterator[str]:
    """A server that ends TLS, and answers as an empty MLflow does; its address without a scheme."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mlflow)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # who does not trust it leaves
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.parametrize(("days", "verdict"), [(60, "ok"), (5, "warn")])
def test_upstreams_certificate_is_looked_at(days: int, verdict: str, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "localhost", days=days)

    with tls_server(pem) as place:
        found = looked(f"https://{place}", BRIDGE_CA_BUNDLE=str(pem))

    assert found["upstream tls"].verdict == verdict
    assert "localhost" in found["upstream tls"].found
    assert found["upstream"].verdict == "ok"


@pytest.mark.parametrize(
    ("name", "days", "trusted", "says"),
    [
        ("localhost", 60, False, "issued by CN=test authority, is not trusted"),
        ("other.example", 60, True, "the certificate for other.example"),
        ("localhost", -1, True, "has expired"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named(
    name: str, days: int, says: str, tmp_path: Path, *, trusted: bool
) -> None:
    pem = certificate(tmp_path, name, days=days)

    with tls_server(pem) as place:
        found = looked(f"https://{place}", BRIDGE_CA_BUNDLE=str(pem) if trusted else "")

    assert found["upstream tls"].verdict == "fail"
    assert says in found["upstream tls"].found
    assert found["upstream"].verdict == "skipped"


def test_tls_where_none_is_spoken_is_told(mlflow_url: str) -> None:
    tls = looked(mlflow_url.replace("http:", "https:"))["upstream tls"]

    assert tls.found.startswith("it does not support TLS")


@pytest.mark.parametrize(
    ("days", "verdict", "says"), [(60, "ok", "for bridge.example"), (5, "warn", "in 4 days"), (-1, "fail", "expired")]
)
def test_our_own_certificate_is_looked_at(days: int, verdict: str, says: str, tmp_path: Path) -> None:
    pem = str(certificate(tmp_path, "bridge.example", days=days))

    own = looked("http://127.0.0.1:1", BRIDGE_TLS_CERT_FILE=pem, BRIDGE_TLS_KEY_FILE=pem)["tls certificate"]

    assert own.verdict == verdict
    assert says in own.found


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("other.example.pem", "does not belong to the certificate"),
        ("missing.pem", "can't be read"),
        ("nonsense.pem", "can't be"),
    ],
)
def test_a_key_that_does_not_fit_fails(key: str, says: str, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "bridge.example", days=60)
    certificate(tmp_path, "other.example", days=60)
    (tmp_path / "nonsense.pem").write_text("nonsense")
    files = {"BRIDGE_TLS_CERT_FILE": str(pem), "BRIDGE_TLS_KEY_FILE": str(tmp_path / key)}

    own = looked("http://127.0.0.1:1", **files)["tls certificate"]

    assert own.verdict == "fail"
    assert says in own.found


def test_an_api_is_told_of_and_missed_only_where_it_must_be(mlflow_url: str) -> None:
    def api(port: str, *, is_here: bool = False) -> Finding:
        environ: Mapping[str, str] = {**NO_STORE, "BRIDGE_UPSTREAM": "http://127.0.0.1:1", "BRIDGE_PORT": port}
        return {each.name: each for each in examine(environ, SystemClock(), api_is_here=is_here)}["api"]

    free = str(free_port())
    assert api(free).verdict == "ok"
    assert api(free, is_here=True).verdict == "fail"
    assert api(mlflow_url.rpartition(":")[2]).found.startswith("another program responds")
