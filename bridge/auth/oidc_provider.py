# SPDX-License-Identifier: Apache-2.0
"""The client of an OpenID provider: reads its metadata, and exchanges authorization codes for ID tokens.

https://openid.net/specs/openid-connect-core-1_0.html, https://openid.net/specs/openid-connect-discovery-1_0.html
"""

import base64
import datetime as dt
import hmac
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

import jwt
import msgspec
import requests

from bridge.auth.oidc import ALGORITHMS, LEEWAY_S, IssuerUnavailable, KeySet
from bridge.config.network import DIRECT, Network
from bridge.process.clock import Clock
from bridge.upstream.connections import session_to

_TIMEOUT_S = 5.0
_METADATA_LIFETIME = dt.timedelta(hours=1)


class ExchangeFailed(Exception):
    """The provider issued no ID token for a code, or one that is not valid for this sign-in."""


class ProviderMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata that a provider publishes (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    #: Empty if the provider does not list them: it then accepts ``client_secret_basic``.
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """The registration of the bridge as a client of the provider."""

    issuer: str
    client_id: str
    #: None for a public client, which proves itself by PKCE alone.
    client_secret: str | None = field(default=None, repr=False)


class ProviderClient:
    """Sends requests to one provider. All methods raise ``IssuerUnavailable``, and block."""

    def __init__(self, registration: ClientRegistration, clock: Clock, network: Network = DIRECT) -> None:
        self.client_id = registration.client_id
        self._registration = registration
        self._clock = clock
        self._network = network
        self._metadata: ProviderMetadata | None = None
        self._fetched_at = dt.timedelta()
        self._keys: KeySet | None = None

    def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata, at most an hour old; while the provider is unavailable, the last known."""
        now = self._clock.monotonic()
        if self._metadata is None or now - self._fetched_at > _METADATA_LIFETIME:
            try:
                self._metadata = self._discover()
            except IssuerUnavailable:
                if self._metadata is None:
                    raise
            self._fetched_at = now
        return self._metadata

    def exchange(self, code: str, *, redirect_uri: str, verifier: str, nonce: str) -> dict[str, Any]:
        """Return the verified claims of the ID token for a code, or raise ``ExchangeFailed``."""
        token = self._id_token(code, redirect_uri=redirect_uri, verifier=verifier)
        try:
            return self._verified_claims(token, nonce)
        except jwt.PyJWTError as error:
            raise ExchangeFailed(type(error).__name__) from error

    def _id_token(self, code: str, *, redirect_uri: str, verifier: str) -> str:
        metadata, secret = self.metadata(), self._registration.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client_id,
        }
        headers = {"Accept": "application/json"}
        if secret and _accepts_basic(metadata):
            headers["Authorization"] = _basic_credentials(self.client_id, secret)
        elif secret:
            form["client_secret"] = secret
        response = self._request("POST", metadata.token_endpoint, data=form, headers=headers)
        try:
            token = response.json()["id_token"] if response.status_code == 200 else None
        except (ValueError, TypeError, KeyError):
            token = None
        if not isinstance(token, str):
            raise ExchangeFailed(f"the token endpoint answered {response.status_code}")
        return token

    def _verified_claims(self, token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7), or raise ``PyJWTError``."""
        metadata = self.metadata()
        try:
            key = self._key_set(metadata).get_signing_key_from_jwt(token)
        except (jwt.PyJWKClientConnectionError, HTTPException, OSError) as error:
            raise IssuerUnavailable(f"{type(error).__name__} at {metadata.jwks_uri}") from error
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=self.client_id,
            issuer=metadata.issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
        )
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise jwt.InvalidTokenError("the nonce is that of another sign-in")
        if claims.get("azp", self.client_id) != self.client_id:
            raise jwt.InvalidTokenError("the token was issued to another client")
        return claims

    def _discover(self) -> ProviderMetadata:
        issuer = self._registration.issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        response = self._request("GET", url)
        try:
            metadata = msgspec.json.decode(response.content, type=ProviderMetadata)
        except msgspec.MsgspecError as error:
            raise IssuerUnavailable(f"{url} answered {response.status_code} without the provider's metadata") from error
        if metadata.issuer != issuer:
            raise IssuerUnavailable(f"{url} speaks for {metadata.issuer}, not for BRIDGE_JWT_ISSUER")
        endpoints = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        allowed = {"https", urlsplit(issuer).scheme}
        if any(urlsplit(endpoint).scheme not in allowed for endpoint in endpoints):
            raise IssuerUnavailable(f"{url} names an endpoint without TLS")
        return metadata

    def _key_set(self, metadata: ProviderMetadata) -> KeySet:
        if self._keys is None or self._keys.uri != metadata.jwks_uri:
            self._keys = KeySet(metadata.jwks_uri, self._network)
        return self._keys

    def _request(self, method: str, url: str, **options: Any) -> requests.Response:  # noqa: ANN401 - as requests takes them
        with session_to(url, self._network) as session:
            try:
                return session.request(method, url, timeout=_TIMEOUT_S, allow_redirects=False, **options)
            except requests.RequestException as error:
                raise IssuerUnavailable(f"{type(error).__name__} at {url}") from error


def _accepts_basic(metadata: ProviderMetadata) -> bool:
    methods = metadata.token_endpoint_auth_methods_supported
    return not methods or "client_secret_basic" in methods


def _basic_credentials(client_id: str, secret: str) -> str:
    # RFC 6749, section 2.3.1: both are form-encoded first.
    return "Basic " + base64.b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()
