# SPDX-License-Identifier: Apache-2.0
"""An OpenID provider for tests: authorization code flow with PKCE, as strict as a real one.

It signs in whoever ``person`` says, at once or, with ``asks``, after a click on its page. ``changes`` makes it lie.
"""

import base64
import datetime as dt
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "bridge", "p/r o%v"
_KEY, _OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


@dataclass
class Provider:
    """What it does and what it was asked."""

    url: str = ""
    #: Whom it signs in: claims of the ID token.
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "anna", "name": "Anna", "groups": ["ml"]})
    #: Claims, or members of its metadata and of its answers, that differ from those of an honest provider.
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    signs_with_other_key: bool = False
    is_public_client: bool = False
    #: Show a page with a link before signing in, as a person would see it.
    asks: bool = False
    #: Paths with their queries.
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def sign_in(self, url: str) -> str:
        """Do what a browser does that is sent to this URL of the provider: return where it is sent back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return self.authorized(query)

    def authorized(self, query: dict[str, str]) -> str:
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.url} | self.answer
        return f"{query['redirect_uri']}?{urlencode({name: value for name, value in answer.items() if value})}"

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Answer the token endpoint."""
        query = self.codes.pop(form.get("code", ""), None)
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        expected = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        if (
            query is None
            or query["code_challenge"] != expected
            or query["redirect_uri"] != form.get("redirect_uri")
            or form.get("grant_type") != "authorization_code"
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token(query["nonce"])}

    def id_token(self, nonce: str) -> str:
        now = dt.datetime.now(dt.UTC)
        honest = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + dt.timedelta(minutes=5),
            "nonce": nonce,
            **self.person,
        }
        claims = {name: value for name, value in (honest | self.claims).items() if value is not None}
        key = _OTHER_KEY if self.signs_with_other_key else _KEY
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "1"})

    def document(self) -> dict[str, Any]:
        """Its metadata."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/logout",
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata

    def _is_client(self, form: dict[str, str], authorization: str | None) -> bool:
        if self.is_public_client:
            return authorization is None and form.get("client_id") == CLIENT_ID and "client_secret" not in form
        if authorization is None:
            return form.get("client_secret") == CLIENT_SECRET
        client_id, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote(client_id), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        """Answer a browser, or the bridge that looks for metadata and keys."""
        self.provider.asked.append(self.path)
        parts = urlsplit(self.path)
        match parts.path:
            case "/.well-known/openid-configuration":
                self._send(200, self.provider.document())
            case "/jwks":
                key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
                self._send(200, {"keys": [key | {"kid": "1", "alg": "RS256"}]})
            case "/authorize":
                self._authorize(parts.query)
            case "/logout":
                back = parse_qs(parts.query).get("post_logout_redirect_uri", ["/"])[0]
                self._redirect(back)
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        """Answer the token endpoint."""
        self.provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._send(*self.provider.token(form, self.headers.get("Authorization")))

    def _authorize(self, query: str) -> None:
        back = self.provider.sign_in(f"?{query}")
        if not self.provider.asks:
            self._redirect(back)
            return
        page = f'<title>Provider</title><a id="sign-in" href="{back.replace("&", "&amp;")}">Sign in</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def openid_provider() -> Iterator[Provider]:
    """A provider that runs for as long as the `with` lasts."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
