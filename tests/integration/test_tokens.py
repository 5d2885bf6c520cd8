# SPDX-License-Identifier: Apache-2.0
"""Clients with tokens of an OpenID provider, or of a load balancer: which are believed, and what they may do."""

import datetime as dt
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Scope
from tests.asgi_client import client_of
from tests.factories import RUN
from tests.integration.test_api_access import key_for

ISSUER, AUDIENCE = "https://issuer.example/", "mlflow-bridge"
ALB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/ours/50dc6c495c0c9188"
METRIC = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


class Keys(BaseHTTPRequestHandler):
    """Publishes the keys of both issuers."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer with a key set, or with one key in PEM."""
        type(self).asked.append(self.path)
        if self.path == "/jwks":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa-1", "alg": "RS256"}
            self._send(json.dumps({"keys": [key]}).encode())
        elif self.path == "/alb/ec-1":
            encoding, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            self._send(EC.public_key().public_bytes(encoding, kind))
        else:
            self.send_error(404)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def published() -> Iterator[str]:
    Keys.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bridge(environ: dict[str, str], published: str) -> Api:
    return build_api(
        read_settings(
            environ
            | {
                "BRIDGE_AUTH": "keys,jwt,alb",
                "BRIDGE_JWT_ISSUER": ISSUER,
                "BRIDGE_JWT_AUDIENCE": AUDIENCE,
                "BRIDGE_JWT_JWKS_URL": f"{published}/jwks",
                "BRIDGE_ALB_ARN": ALB,
                "BRIDGE_ALB_ISSUER": ISSUER,
                "BRIDGE_ALB_CLIENT_ID": "portal",
                "BRIDGE_ALB_KEYS_URL": f"{published}/alb",
            }
        )
    )


@pytest.fixture
def http(bridge: Api) -> Iterator[Http]:
    with client_of(bridge) as client:
        yield client


def token(key: Any = RSA, *, algorithm: str = "RS256", head: dict[str, Any] | None = None, **claims: Any) -> str:
    """A good token, but for what is said otherwise; a claim of None is left out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "robot", "scope": "mlflow:write", "exp": in_(hours=1)}
    left = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(left, key, algorithm=algorithm, headers={"kid": "rsa-1"} | (head or {}))


def of_alb(key: Any = EC, *, head: dict[str, Any] | None = None, **claims: Any) -> str:
    good = {"sub": "person", "exp": in_(hours=1), "scope": "mlflow:write"}
    headers = {"kid": "ec-1", "signer": ALB, "iss": ISSUER, "client": "portal"} | (head or {})
    return jwt.encode(good | claims, key, algorithm="ES256", headers=headers)


def in_(**span: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(**span)


def log(http: Http, **headers: str) -> int:
    return http.post(
        LOG_METRIC, json=METRIC, headers={name.replace("_", "-"): each for name, each in headers.items()}
    ).status_code


def test_who_has_a_good_token_does_what_its_scopes_hold(http: Http, bridge: Api) -> None:
    assert log(http, Authorization=f"Bearer {token()}") == 200
    assert log(http, Authorization=f"Bearer {token(scope='mlflow:read')}") == 403
    assert log(http, Authorization=f"Bearer {token(scope=None)}") == 403
    assert log(http, Authorization=f"Bearer {token(sub='listed', scope=['mlflow:write'])}") == 200
    assert log(http, Authorization=f"Bearer {token(scope=['a mlflow:write b'])}") == 403
    assert log(http, Authorization=f"Bearer {token(scope={'a': ' mlflow:write '})}") == 403
    assert log(http, X_Amzn_Oidc_Data=of_alb()) == 403, "what a user says of himself grants nothing"
    bridge.api_keys.put_client(Client(name="alb:person", scopes=(Scope.WRITE,)))
    with client_of(bridge) as anew:
        assert log(anew, X_Amzn_Oidc_Data=of_alb()) == 200
    pending = bridge.outbox.claim(RUN, lease=dt.timedelta(seconds=30))
    assert pending
    assert [job.client for job in pending.jobs] == ["oidc:robot", "oidc:listed", "alb:person"]


def test_what_is_kept_of_a_client_counts_more_than_its_token(http: Http, bridge: Api) -> None:
    bridge.api_keys.put_client(Client(name="oidc:robot", scopes=(Scope.READ,)))
    bridge.api_keys.put_client(Client(name="robot", scopes=(Scope.ADMIN,)))

    assert log(http, Authorization=f"Bearer {token()}") == 403


@pytest.mark.parametrize(
    "bad",
    [
        token(OTHER_RSA),
        token(exp=in_(minutes=-5)),
        token(exp=None),
        token(nbf=in_(days=1)),
        token(iss="https://other.example/"),
        token(aud="another"),
        token(aud=None),
        token(sub=None),
        token(sub="a b"),
        token(head={"kid": "unknown"}),
        token(b"a" * 64, algorithm="HS256"),
        jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "robot"}, "", algorithm="none"),
        token(padding="x" * 20_000),
        "a.b.c",
    ],
)
def test_a_token_that_is_not_good_is_nobodys(http: Http, bad: str) -> None:
    assert log(http, Authorization=f"Bearer {bad}") == 401


@pytest.mark.parametrize(
    "bad",
    [
        of_alb(OTHER_EC),
        of_alb(head={"signer": ALB.replace("ours", "theirs")}),
        of_alb(head={"iss": "https://other.example/"}),
        of_alb(head={"client": "another app"}),
        of_alb(exp=in_(minutes=-5)),
        of_alb(head={"kid": "../../elsewhere"}),
        of_alb(head={"kid": "unknown"}),
        token(),
        "a.b.c",
        "",
    ],
)
def test_the_word_of_another_load_balancer_does_not_count(http: Http, bad: str) -> None:
    assert log(http, X_Amzn_Oidc_Data=bad) == 401
    assert not any("elsewhere" in path for path in Keys.asked)


def test_keys_are_fetched_once_and_not_for_each_bad_token(http: Http) -> None:
    for number in range(5):
        log(http, Authorization=f"Bearer {token(sub=f'robot-{number}')}")
        log(http, Authorization=f"Bearer {token(head={'kid': f'unknown-{number}'})}")

    assert Keys.asked.count("/jwks") <= 2


def test_an_issuer_that_can_not_be_asked_is_told_from_a_bad_token(environ: dict[str, str]) -> None:
    settings = environ | {"BRIDGE_AUTH": "jwt", "BRIDGE_JWT_ISSUER": ISSUER, "BRIDGE_JWT_AUDIENCE": AUDIENCE}
    settings["BRIDGE_JWT_JWKS_URL"] = "http://127.0.0.1:9/jwks"
    with client_of(build_api(read_settings(settings))) as http:
        assert log(http, Authorization=f"Bearer {token()}") == 503


@pytest.mark.full
def test_who_has_a_key_does_not_wait_for_an_issuer_that_hangs(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = environ | {"BRIDGE_AUTH": "keys,jwt", "BRIDGE_JWT_ISSUER": ISSUER, "BRIDGE_JWT_AUDIENCE": AUDIENCE}
        settings["BRIDGE_JWT_JWKS_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/jwks"
        bridge = build_api(read_settings(settings))
        key = key_for(bridge)
        with client_of(bridge) as http, ThreadPoolExecutor(3) as strangers:
            asked = [strangers.submit(log, http, Authorization=f"Bearer {token(sub=f'r{each}')}") for each in range(3)]
            held = silent.accept()[0]
            began = time.monotonic()
            assert log(http, Authorization=f"Bearer {key}") == 200
            waited = time.monotonic() - began
            held.close()
            assert {each.result() for each in asked} <= {401, 503}

    assert waited < 2


def test_who_is_revoked_is_not_again_what_his_token_says(http: Http, bridge: Api) -> None:
    bridge.api_keys.put_client(Client(name="oidc:robot", scopes=(Scope.READ,)))
    bridge.api_keys.revoke(client="oidc:robot")

    assert log(http, Authorization=f"Bearer {token(scope='mlflow:admin')}") == 403
