# SPDX-License-Identifier: Apache-2.0
"""Makes what knows clients: their keys, the tokens of others, and what their secrets are encrypted with."""

import datetime as dt
from dataclasses import dataclass

from bridge.auth.api_keys import ApiKeyStore
from bridge.auth.encryption import Cipher, keys_in
from bridge.auth.oidc import LoadBalancer, OpenId, load_balancer, open_id
from bridge.config.network import DIRECT, Network
from bridge.config.settings import Settings
from bridge.errors import CannotStart
from bridge.redis_store.api_keys import RedisApiKeyStore
from bridge.redis_store.outbox import connect

_STORE_TIMEOUT = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerifiers:
    """Who reads tokens of others, if they count."""

    bearer: OpenId | None
    of_alb: LoadBalancer | None


def api_key_store_at(store_url: str, cipher: Cipher | None = None) -> ApiKeyStore:
    """Return the clients and keys alone, for whoever manages them on the host."""
    return RedisApiKeyStore(connect(store_url, timeout=_STORE_TIMEOUT, connections=2), cipher=cipher)


def cipher_for_keys(keys: tuple[bytes, ...] | None, arn: str | None, network: Network = DIRECT) -> Cipher:
    """Return what the secrets of clients that sign are encrypted with, or raise ``CannotStart``."""
    if keys and arn:
        raise CannotStart("BRIDGE_ENCRYPTION_KEYS and BRIDGE_ENCRYPTION_KEYS_SECRET_ARN exclude each other: set one")
    if arn:
        return Cipher(keys_in(arn, network))
    if not keys:
        raise CannotStart(
            "signing secrets are kept encrypted: set BRIDGE_ENCRYPTION_KEYS to what `openssl rand -base64 32` makes,"
            " or BRIDGE_ENCRYPTION_KEYS_SECRET_ARN to a secret in AWS Secrets Manager that holds it"
        )
    return Cipher(keys)


def build_cipher(settings: Settings) -> Cipher | None:
    """Return what secrets are encrypted with, None where nobody signs."""
    if "sigv4" not in (settings.auth or ()):
        return None
    return cipher_for_keys(settings.encryption_keys, settings.encryption_keys_secret_arn, settings.network)


def build_token_verifiers(settings: Settings) -> TokenVerifiers:
    """Return who reads tokens, as far as they count."""
    kinds = settings.auth or ()
    issuer, audience, arn = settings.jwt_issuer, settings.jwt_audience, settings.alb_arn
    bearer = None
    if "jwt" in kinds and issuer and audience:
        keys_url = settings.jwt_jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        bearer = open_id(issuer, audience, keys_url, settings.network)
    of_alb = None
    if "alb" in kinds and arn:
        said = {"signer": arn, "iss": settings.alb_issuer or "", "client": settings.alb_client_id or ""}
        of_alb = load_balancer(said, settings.alb_keys_url, settings.network)
    return TokenVerifiers(bearer=bearer, of_alb=of_alb)
