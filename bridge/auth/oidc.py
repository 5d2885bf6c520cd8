# SPDX-License-Identifier: Apache-2.0
"""Verifies JSON Web Tokens: access tokens of an OpenID provider, and the identity tokens of an AWS load balancer.

A token is valid if one of the issuer's published keys has signed it with a listed algorithm, its audience is the
bridge, and it has not expired. The client's name is ``oidc:`` or ``alb:`` and the token's subject. Its permissions are
those stored under this name, or else the token's scopes: ``mlflow:write``, ``mlflow:read``, ``mlflow:admin``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.parse import quote

import jwt
import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bridge.config.network import DIRECT, Network
from bridge.upstream.connections import session_to
from schemas.client import Client, Scope, is_client_name

#: Asymmetric algorithms only: a client must not be able to sign with the published key.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
LEEWAY_S = 30.0
_TIMEOUT_S = 3.0
#: The lifetime of the cached keys. An unknown key id fetches them again, at most twice a minute.
_KEYS_TTL_S = 3600
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MAX_TOKEN_LENGTH = 16_384


class IssuerUnavailable(Exception):
    """The issuer's keys are unavailable, so the token can't be verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdVerifier:
    """Verifies the tokens of an OpenID provider (https://openid.net/specs/openid-connect-core-1_0.html#IDToken)."""

    issuer: str
    audience: str
    keys: jwt.PyJWKClient

    def client_of(self, token: str) -> Client | None:
        """Return the client that a token names, None if it is invalid. Raises ``IssuerUnavailable``."""
        if len(token) > _MAX_TOKEN_LENGTH:
            return None
        try:
            key = self.keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWKClientConnectionError, HTTPException, OSError) as error:
            raise IssuerUnavailable(f"{type(error).__name__} at {self.issuer}") from error
        except jwt.PyJWTError:
            return None
        return _client_of_claims("oidc", claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerVerifier:
    """Verifies the user claims of an Application Load Balancer in ``x-amzn-oidc-data``.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
    """

    #: The required header fields of a token: ``signer``, ``iss`` and ``client``.
    header_fields: Mapping[str, str]
    keys_url: str
    _public_keys: dict[str, Any]
    _session: requests.Session

    def client_of(self, token: str) -> Client | None:
        """Return the client that a token names, None if it is invalid. Raises ``IssuerUnavailable``."""
        try:
            header = jwt.get_unverified_header(token) if len(token) <= _MAX_TOKEN_LENGTH else {}
            # All load balancers of a region sign with such keys, and this one may also sign for other applications.
            required = {"alg": "ES256", **self.header_fields}
            if any(header.get(name) != value for name, value in required.items()):
                return None
            key = self._public_key(str(header.get("kid", "")))
            claims = key and jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_aud": False},
            )
        except jwt.PyJWTError:
            return None
        return _client_of_claims("alb", claims) if claims else None

    def _public_key(self, key_id: str) -> Any:  # noqa: ANN401 - one of many types of keys
        if not _KEY_ID.fullmatch(key_id):
            return None
        if key_id not in self._public_keys:
            try:
                url = f"{self.keys_url}/{quote(key_id)}"
                answer = self._session.get(url, timeout=_TIMEOUT_S, allow_redirects=False)
            except requests.RequestException as error:
                raise IssuerUnavailable(f"{type(error).__name__} at {self.keys_url}") from error
            if answer.status_code != 200:
                return None
            try:
                self._public_keys[key_id] = load_pem_public_key(answer.content)
            except (ValueError, UnsupportedAlgorithm):
                return None
        return self._public_keys[key_id]


def open_id_verifier(issuer: str, audience: str, keys_url: str, network: Network = DIRECT) -> OpenIdVerifier:
    """Return a verifier for this issuer's tokens with this audience."""
    keys = KeySet(keys_url, network)
    return OpenIdVerifier(issuer=issuer, audience=audience, keys=keys)


def load_balancer_verifier(
    header_fields: Mapping[str, str], keys_url: str | None, network: Network = DIRECT
) -> LoadBalancerVerifier:
    """Return a verifier for tokens with these header fields: ``signer`` (the ARN), ``iss`` and ``client``."""
    region = header_fields["signer"].split(":")[3]
    url = keys_url or f"https://public-keys.auth.elb.{region}.amazonaws.com"
    return LoadBalancerVerifier(
        header_fields=header_fields, keys_url=url, _public_keys={}, _session=session_to(url, network)
    )


class KeySet(jwt.PyJWKClient):
    """The issuer's key set (JWKS), fetched by the network settings. PyJWT itself would use the environment's proxy."""

    def __init__(self, url: str, network: Network) -> None:
        super().__init__(url, lifespan=_KEYS_TTL_S, timeout=_TIMEOUT_S)
        self._session = session_to(url, network)

    def fetch_data(self) -> Any:  # noqa: ANN401 - as it is overridden
        """Fetch the key set."""
        try:
            answer = self._session.get(self.uri, timeout=_TIMEOUT_S, allow_redirects=False)
            answer.raise_for_status()
            keys = self._as_jwk_set_payload(answer.json())
        except requests.RequestException as error:
            raise jwt.PyJWKClientConnectionError(type(error).__name__) from error
        # PyJWT's own method does this too, so that an unknown key id does not fetch the keys each time.
        self._last_successful_fetch = monotonic()
        return keys


def _client_of_claims(kind: str, claims: dict[str, Any]) -> Client | None:
    # The prefix keeps the name apart from those of clients with API keys.
    name = f"{kind}:{claims['sub']}"
    if not is_client_name(name):
        return None
    # A load balancer passes on user claims, which users may have set themselves.
    scope = claims.get("scope") if kind == "oidc" else None
    # One text with spaces (RFC 9068), or a list, as some providers send it.
    granted = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else []
    return Client(name=name, scopes=tuple(scope for scope in Scope if f"mlflow:{scope}" in granted))
