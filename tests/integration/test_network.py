# SPDX-License-Identifier: Apache-2.0
"""Each kind of outgoing connection in a company's network, and what the doctor says of it."""

import asyncio
import base64
import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import uvloop

from bridge.auth import encryption as secrets_manager
from bridge.auth.oidc import IssuerUnavailable
from bridge.bootstrap.auth import build_token_verifiers, cipher_for_keys
from bridge.config.environment import read_settings
from bridge.config.network import Network, network_in
from bridge.doctor import Finding, examine
from bridge.errors import CannotStart
from bridge.process.clock import SystemClock
from bridge.telemetry.opentelemetry import otlp_tracer
from bridge.upstream import Call, Delivered, Unavailable
from bridge.upstream.aws.credentials import AwsCredentials, CredentialChain
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.forwarding import ForwardedRequest
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.http_proxy import HttpForwarding
from schemas.client import Client, Scope
from tests.collector import Collector
from tests.enterprise import Authority, EgressProxy, TlsFront
from tests.integration.test_secrets_manager import ARN, KEY, Manager
from tests.integration.test_tokens import ALB, AUDIENCE, ISSUER, Keys, of_alb, token
from tests.servers import wait_until
from tests.signature_front import SignatureFront
from tests.sts_stub import StsStub
from tests.system import CREDENTIALS

LOGIN = "bridge:s3cret-of-proxy"
NAME = "server.company.test"
ROLE = "arn:aws:iam::123456789012:role/writer"
SECONDS = dt.timedelta(seconds=2)
CALL = Call(
    path="/api/2.0/mlflow/experiments/search", body=b'{"max_results":1}', response_field="experiments", reads=True
)


class Company:
    """An authority and a proxy, which leads to one server behind TLS."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.authority = Authority(directory)
        self._stack = stack
        self.proxy = stack.enter_context(EgressProxy(login=LOGIN))
        self.front: TlsFront | None = None

    def environ(self) -> dict[str, str]:
        return {"BRIDGE_CA_BUNDLE": str(self.authority.bundle), "BRIDGE_PROXY": self.proxy.url}

    def network(self) -> Network:
        return network_in(self.environ())

    def publish(self, url: str, *, asks: bool = False) -> str:
        """Have a plain server stand behind TLS and the proxy; return its address there."""
        clients_of = self.authority if asks else None
        front = TlsFront(self.authority.issue(NAME), lambda: url, clients_of=clients_of)
        self.front = self._stack.enter_context(front)
        self.proxy.places[f"{NAME}:443"] = lambda: f"http://127.0.0.1:{front.port}"
        return f"https://{NAME}"

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> str:
        """Run a server of the standard library, and publish it."""
        server = self._stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._stack.callback(server.shutdown)
        return self.publish(f"http://127.0.0.1:{server.server_port}")


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    # Whoever looks into the environment by itself finds a proxy that is not there, and a bundle that can't be read.
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none.pem"))
    monkeypatch.setenv("NO_PROXY", "")
    with ExitStack() as stack:
        yield Company(tmp_path / "company", stack)


def asked(company: Company) -> list[str]:
    return [line.rpartition(" ")[0] for line in company.proxy.asked]


def test_the_keys_of_token_issuers_are_fetched(company: Company) -> None:
    Keys.asked = []
    url = company.serve(Keys)
    environ = {
        "BRIDGE_UPSTREAM": "http://u",
        "BRIDGE_STORE_URL": "redis://s",
        "BRIDGE_AUTH": "jwt,alb",
        "BRIDGE_JWT_ISSUER": ISSUER,
        "BRIDGE_JWT_AUDIENCE": AUDIENCE,
        "BRIDGE_JWT_JWKS_URL": f"{url}/jwks",
        "BRIDGE_ALB_ARN": ALB,
        "BRIDGE_ALB_ISSUER": ISSUER,
        "BRIDGE_ALB_CLIENT_ID": "portal",
        "BRIDGE_ALB_KEYS_URL": f"{url}/alb",
    }
    tokens = build_token_verifiers(read_settings(environ | company.environ()))
    untrusting = build_token_verifiers(read_settings(environ | {"BRIDGE_PROXY": company.proxy.url}))

    assert tokens.bearer
    assert tokens.load_balancer
    assert tokens.bearer.client_of(token()) == Client(name="oidc:robot", scopes=(Scope.WRITE,))
    assert tokens.load_balancer.client_of(of_alb()) == Client(name="alb:person", scopes=())
    assert set(asked(company)) == {f"CONNECT {NAME}:443"}
    assert untrusting.bearer
    assert untrusting.load_balancer
    with pytest.raises(IssuerUnavailable, match="ConnectionError at"):
        untrusting.bearer.client_of(token())
    with pytest.raises(IssuerUnavailable, match="SSLError at"):
        untrusting.load_balancer.client_of(of_alb())


def test_encryption_keys_are_fetched_from_secrets_manager(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    Manager.asked, Manager.text = [], KEY
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", company.serve(Manager))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS.secret_key)
    secrets_manager.fetch_encryption_keys.cache_clear()

    assert secrets_manager.fetch_encryption_keys(ARN, company.network()) == (base64.b64decode(KEY),)
    assert asked(company) == [f"CONNECT {NAME}:443"]
    with pytest.raises(CannotStart, match="SSLError"):
        cipher_for_keys(None, ARN, network_in({"BRIDGE_PROXY": company.proxy.url}))
    with pytest.raises(CannotStart, match="EndpointConnectionError"):
        # Without a proxy, nobody knows the way.
        cipher_for_keys(None, ARN, Network(ca_bundle=company.network().ca_bundle))


def test_a_role_is_assumed(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    with StsStub() as sts:
        for name, value in sts.environ(CREDENTIALS).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", company.publish(sts.url))
        clock = SystemClock()
        chain = CredentialChain(clock, region="eu-central-1", network=company.network())

        assert AwsCredentials(clock, ROLE, chain=chain).frozen().access_key.startswith("ASIASESSION")
    assert asked(company) == [f"CONNECT {NAME}:443"]


def test_sts_on_loopback_is_asked_directly(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    with StsStub() as sts:
        for name, value in sts.environ(CREDENTIALS).items():
            monkeypatch.setenv(name, value)
        clock = SystemClock()
        chain = CredentialChain(clock, region="eu-central-1", network=company.network())

        assert AwsCredentials(clock, ROLE, chain=chain).frozen()
    assert asked(company) == []


def test_traces_are_sent(company: Company, caplog: pytest.LogCaptureFixture) -> None:
    with Collector() as collector:
        tracer = otlp_tracer(company.publish(collector.url), service="s", network=company.network())
        lost = otlp_tracer("https://other.company.test", service="lost", network=company.network())
        for each in (tracer, lost):
            span = each.request("GET", "/version", None)
            assert span.trace
            span.span.end()
            each.close()

        wait_until(lambda: [found.service for found in collector.spans] == ["s"])
    wait_until(lambda: "CONNECT other.company.test:443" in asked(company))
    assert "s3cret" not in caplog.text


async def _read(network: Network, url: str) -> int:
    way = HttpForwarding(
        Endpoint(url=url), None, instance_id=_Hop(), connect_timeout=SECONDS, read_timeout=SECONDS, network=network
    )
    async with way.forward(ForwardedRequest(method="GET", target="/version", headers=(), body=None)) as answer:
        assert [piece async for piece in answer.body]
    await way.close()
    return answer.status


class _Hop:
    known = "mlflow-bridge-0123456789abcdef"

    def name(self) -> str:
        return self.known


def test_a_proxy_that_speaks_tls_itself_leads_to_upstream(company: Company, mlflow_url: str) -> None:
    files = company.authority.issue("127.0.0.1")
    with SignatureFront(mlflow_url, check=None) as door, EgressProxy(login=LOGIN, files=files) as proxy:
        url = company.publish(door.url)
        proxy.places = company.proxy.places
        environ = {**company.environ(), "BRIDGE_PROXY": proxy.url}
        way = HttpUpstream(
            Endpoint(url=url),
            None,
            clock=SystemClock(),
            connect_timeout=SECONDS,
            read_timeout=SECONDS,
            network=network_in(environ),
        )

        assert isinstance(way.send(CALL), Delivered)
        # Of the standard library, and of the api's server.
        for run in (asyncio.run, uvloop.run):
            assert run(_read(network_in(environ), url)) == 200
        assert looked(company, url, BRIDGE_PROXY=proxy.url)["upstream"].verdict == "ok"
    assert proxy.asked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda proxy: setattr(proxy, "login", "bridge:another"), "the proxy answers with status 407"),
        (lambda proxy: proxy.places.clear(), "the proxy answers with status 403"),
        (EgressProxy.stop, "the proxy can't be reached"),
    ],
)
def test_a_call_that_the_proxy_does_not_let_through_is_known_not_to_have_arrived(
    company: Company, change: Callable[[EgressProxy], None], reason: str
) -> None:
    url = company.publish("http://127.0.0.1:9")
    network = company.network()
    change(company.proxy)
    way = HttpUpstream(
        Endpoint(url=url), None, clock=SystemClock(), connect_timeout=SECONDS, read_timeout=SECONDS, network=network
    )

    outcome = way.send(Call(path="/api/2.0/mlflow/runs/log-batch", body=b"{}"))

    assert outcome == Unavailable(reason=f"no connection to upstream: {reason}")


def looked(company: Company, upstream: str, **further: str) -> dict[str, Finding]:
    environ = {
        "BRIDGE_STORE_URL": "redis://127.0.0.1:1",
        "BRIDGE_PORT": "1",
        "BRIDGE_UPSTREAM": upstream,
        **company.environ(),
        **further,
    }
    found = {each.name: each for each in examine(environ, SystemClock())}
    assert [each for each in found.values() if each.verdict == "fail" and not each.fix] == []
    assert "s3cret" not in str(found)
    return found


def certified(company: Company, *, days: float = 30) -> dict[str, str]:
    certificate, key = company.authority.issue("bridge.company.test", days=days)
    return {"BRIDGE_UPSTREAM_CLIENT_CERTIFICATE": str(certificate), "BRIDGE_UPSTREAM_CLIENT_KEY": str(key)}


def test_the_doctor_says_what_is_used_and_tries_it(company: Company, mlflow_url: str) -> None:
    with SignatureFront(mlflow_url, check=None) as door:
        found = looked(company, company.publish(door.url, asks=True), **certified(company))

    bundle, port = company.authority.bundle, company.proxy.port
    assert found["ca bundle"].found == f"only the 1 CAs in {bundle} (BRIDGE_CA_BUNDLE) are trusted"
    assert found["proxy"].found == f"http://***@127.0.0.1:{port} (BRIDGE_PROXY) is used for {NAME}"
    assert found["client certificate"].found.startswith("CN=bridge.company.test, for bridge.company.test, expires 2")
    assert found["upstream connection"].found == f"{NAME}:443 accepts connections through the proxy"
    assert found["upstream tls"].found.startswith(f"for {NAME}, expires 2")
    assert {each.verdict for name, each in found.items() if name not in ("store", "broker", "api")} <= {"ok", "skipped"}
    assert found["upstream"].verdict == "ok"


def test_the_doctor_names_what_is_used_by_default(company: Company, mlflow_url: str) -> None:
    found = looked(company, mlflow_url, BRIDGE_CA_BUNDLE="", BRIDGE_PROXY="")

    assert found["ca bundle"].found == "the public CAs (certifi) and those of this machine are trusted"
    assert {"proxy", "client certificate"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("further", "name", "says", "fix"),
    [
        (
            {"BRIDGE_CA_BUNDLE": "", "AWS_CA_BUNDLE": "/none"},
            "ca bundle",
            "AWS_CA_BUNDLE=/none can't be",
            "name a file",
        ),
        ({"BRIDGE_CA_BUNDLE": ""}, "upstream tls", "is not trusted", "set BRIDGE_CA_BUNDLE"),
        (
            {"BRIDGE_PROXY": "http://127.0.0.1:9"},
            "proxy",
            "http://127.0.0.1:9 (BRIDGE_PROXY) can't",
            "correct BRIDGE_PROXY",
        ),
        ({"BRIDGE_PROXY": "", "https_proxy": "u:s3cret@127.0.0.1:9"}, "proxy", "//***@127", "correct https_proxy"),
        ({"NO_PROXY": ".company.test"}, "upstream name", "does not resolve", "name server"),
        ({"BRIDGE_UPSTREAM_CLIENT_KEY": "/none"}, "client certificate", "/none can't be used", "a certificate and its"),
        ({"BRIDGE_UPSTREAM_CLIENT_KEY": ""}, "client certificate", "belong together", "set both"),
    ],
)
def test_the_doctor_names_what_is_wrong(
    company: Company, further: dict[str, str], name: str, says: str, fix: str
) -> None:
    url = company.publish("http://127.0.0.1:9", asks=True)

    finding = looked(company, url, **{**certified(company), **further})[name]

    assert finding.verdict == "fail"
    assert says in finding.found
    assert fix in " ".join(finding.fix)


def test_the_doctor_says_why_a_proxy_does_not_lead_there(company: Company) -> None:
    url = company.publish("http://127.0.0.1:9")
    company.proxy.login = "bridge:another"
    wrong = looked(company, url, BRIDGE_PROXY=f"http://{LOGIN}@127.0.0.1:{company.proxy.port}")["upstream connection"]
    elsewhere = looked(company, "https://other.company.test")["upstream connection"]

    assert wrong.found.endswith("status 407")
    assert "a user and a password in BRIDGE_PROXY" in wrong.fix[0]
    assert elsewhere.found.endswith("status 403")
    assert "allow other.company.test:443 in the proxy" in elsewhere.fix[0]


@pytest.mark.parametrize("wrong", ["none", "of another authority"])
def test_the_doctor_says_that_upstream_asks_for_a_client_certificate(
    company: Company, wrong: str, tmp_path: Path
) -> None:
    further = {}
    if wrong != "none":
        certificate, key = Authority(tmp_path / "other").issue("bridge.company.test")
        further = {"BRIDGE_UPSTREAM_CLIENT_CERTIFICATE": str(certificate), "BRIDGE_UPSTREAM_CLIENT_KEY": str(key)}

    upstream = looked(company, company.publish("http://127.0.0.1:9", asks=True), **further)["upstream"]

    assert upstream.verdict == "fail"
    assert "BRIDGE_UPSTREAM_CLIENT_CERTIFICATE" in upstream.fix[0]


@pytest.mark.parametrize(("days", "verdict"), [(5, "warn"), (-0.5, "fail")])
def test_the_doctor_looks_at_the_end_of_the_client_certificate(company: Company, days: float, verdict: str) -> None:
    further = certified(company, days=days)

    assert looked(company, "https://other.company.test", **further)["client certificate"].verdict == verdict
