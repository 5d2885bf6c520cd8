# SPDX-License-Identifier: Apache-2.0
"""Clients who prove who they are by a token of somebody else: an OpenID provider, or our load balancer.

A token is believed if it is signed with one of the issuer's published keys, by an algorithm of the list, is meant for
us and has not ended. Its subject, after ``oidc:`` or ``alb:``, is the client's name. What he may do is kept under that
name, as for clients with keys, or else is said by the token's scopes: ``mlflow:write``, ``mlflow:read``,
``mlflow:admin``.
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

#: ReplayCache with the issuer's private key only; never one that a client could make.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_LEEWAY = 30.0
_TIMEOUT = 3.0
#: For how long, in seconds, the issuer's keys are kept; an unknown one has them fetched again, twice a minute at most.
_KEYS_LAST = 3600
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LONGEST = 16_384


class IssuerUnavailable(Exception):
    """The issuer's keys can't be had, so nobody can tell whether the token is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId:
    """Tokens of an OpenID provider (https://openid.net/specs/openid-connect-core-1_0.html#IDToken)."""

    issuer: str
    audience: str
    keys: jwt.PyJWKClient

    def client_of(self, token: str) -> Client | None:
        """Return whom a token speaks of, None if it is not to be believed; raise ``IssuerUnavailable``."""
        if len(token) > _LONGEST:
            return None
        try:
            key = self.keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self.audience,
                issuer=self.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWKClientConnectionError, HTTPException, OSError) as error:
            raise IssuerUnavailable(f"{type(error).__name__} at {self.issuer}") from error
        except jwt.PyJWTError:
            return None
        return _client("oidc", claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """What our load balancer says of whom it has let in, in ``x-amzn-oidc-data``.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
    """

    #: What the head of its tokens must say: which load balancer, for which client of which issuer.
    said: Mapping[str, str]
    keys_url: str
    _keys: dict[str, Any]
    _session: requests.Session

    def client_of(self, token: str) -> Client | None:
        """Return whom a token speaks of, None if it is not to be believed; raise ``IssuerUnavailable``."""
        try:
            head = jwt.get_unverified_header(token) if len(token) <= _LONGEST else {}
            # Any load balancer of the region signs with such keys, and ours may do so for others, too.
            if head.get("alg") != "ES256" or any(head.get(name) != value for name, value in self.said.items()):
                return None
            key = self._key(str(head.get("kid", "")))
            claims = key and jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                leeway=_LEEWAY,
                options={"require": ["exp", "sub"], "verify_aud": False},
            )
        except jwt.PyJWTError:
            return None
        return _client("alb", claims) if claims else None

    def _key(self, key_id: str) -> Any:  # noqa: ANN401 - one of many types of keys
        if not _KEY_ID.fullmatch(key_id):
            return None
        if key_id not in self._keys:
            try:
                answer = self._session.get(f"{self.keys_url}/{quote(key_id)}", timeout=_TIMEOUT, allow_redirects=False)
            except requests.RequestException as error:
                raise IssuerUnavailable(f"{type(error).__name__} at {self.keys_url}") from error
            if answer.status_code != 200:
                return None
            try:
                self._keys[key_id] = load_pem_public_key(answer.content)
            except (ValueError, UnsupportedAlgorithm):
                return None
        return self._keys[key_id]


class _KeySet(jwt.PyJWKClient):
    """The issuer's keys, fetched as everything is fetched: PyJWT itself asks the environment for a proxy."""

    def __init__(self, url: str, network: Network) -> None:
        super().__init__(url, lifespan=_KEYS_LAST, timeout=_TIMEOUT)
        self._session = session_to(url, network)

    def fetch_data(self) -> Any:  # noqa: ANN401 - as it is overridden
        """Return the key set as the issuer publishes it."""
        try:
            answer = self._session.get(self.uri, timeout=_TIMEOUT, allow_redirects=False)
            answer.raise_for_status()
            keys = self._as_jwk_set_payload(answer.json())
        except requests.RequestException as error:
            raise jwt.PyJWKClientConnectionError(type(error).__name__) from error
        # Its own method does so: only then it asks for an unknown key after a while, not at once.
        self._last_successful_fetch = monotonic()
        return keys


def open_id(issuer: str, audience: str, keys_url: str, network: Network = DIRECT) -> OpenId:
    """Return a reader of the tokens that this issuer makes for us."""
    keys = _KeySet(keys_url, network)
    return OpenId(issuer=issuer, audience=audience, keys=keys)


def load_balancer(said: Mapping[str, str], keys_url: str | None, network: Network = DIRECT) -> LoadBalancer:
    """Return a reader of the tokens of a load balancer, whose head must say this: ``signer``, ``iss``, ``client``."""
    region = said["signer"].split(":")[3]
    aws = f"https://public-keys.auth.elb.{region}.amazonaws.com"
    url = keys_url or aws
    return LoadBalancer(said=said, keys_url=url, _keys={}, _session=session_to(url, network))


def _client(issuer: str, claims: dict[str, Any]) -> Client | None:
    # With the issuer before it, no name is one that we have given to somebody else.
    name = f"{issuer}:{claims['sub']}"
    if not is_client_name(name):
        return None
    # What a load balancer passes on is what a user may have said of himself.
    scope = claims.get("scope") if issuer == "oidc" else None
    granted = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else []
    return Client(name=name, scopes=tuple(scope for scope in Scope if f"mlflow:{scope}" in granted))
