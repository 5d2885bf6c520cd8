# SPDX-License-Identifier: Apache-2.0
"""Builds the parts of authentication: the store of API keys, the token verifiers, and the cipher for secrets."""

import datetime as dt
from dataclasses import dataclass

import redis

from bridge.auth.api_keys import ApiKeyStore
from bridge.auth.client_activity import ClientActivities
from bridge.auth.encryption import Cipher, fetch_encryption_keys
from bridge.auth.oidc import LoadBalancerVerifier, OpenIdVerifier, load_balancer_verifier, open_id_verifier
from bridge.auth.oidc_login import OidcLogin, RoleMapping
from bridge.auth.oidc_provider import ClientRegistration, ProviderClient
from bridge.auth.sessions import BrowserSessions
from bridge.auth.sigv4 import ReplayCache
from bridge.config.network import DIRECT, Network
from bridge.config.settings import Settings
from bridge.errors import CannotStart
from bridge.process.clock import Clock
from bridge.redis_store.api_keys import RedisApiKeyStore
from bridge.redis_store.audit import RedisAuditStore
from bridge.redis_store.client_activity import RedisClientActivities
from bridge.redis_store.outbox import connect
from bridge.redis_store.replay_cache import RedisReplayCache
from bridge.redis_store.sessions import RedisPendingLoginStore, RedisSessionStore
from bridge.redis_store.usage import RedisUsageStore
from bridge.telemetry.audit import AuditStore
from bridge.telemetry.usage import UsageStore

_STORE_TIMEOUT = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerifiers:
    """The verifiers of JSON Web Tokens; None for a kind that ``BRIDGE_AUTH`` does not name."""

    bearer: OpenIdVerifier | None
    load_balancer: LoadBalancerVerifier | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStores:
    """The parts of the store that hold data of clients."""

    api_keys: ApiKeyStore
    activities: ClientActivities
    replay_cache: ReplayCache
    audit: AuditStore
    usage: UsageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSignIn:
    """The sessions of browsers, and the sign-in at the OpenID provider if one is configured."""

    sessions: BrowserSessions
    oidc_login: OidcLogin | None


def api_key_store_at(store_url: str, cipher: Cipher | None = None) -> ApiKeyStore:
    """Return the store of clients and keys alone, for commands on the host."""
    return RedisApiKeyStore(connect(store_url, timeout=_STORE_TIMEOUT, connections=2), cipher=cipher)


def cipher_for_keys(keys: tuple[bytes, ...] | None, arn: str | None, network: Network = DIRECT) -> Cipher:
    """Return the cipher for the secrets of access keys, or raise ``CannotStart``."""
    if keys and arn:
        raise CannotStart("BRIDGE_ENCRYPTION_KEYS and BRIDGE_ENCRYPTION_KEYS_SECRET_ARN exclude each other: set one")
    if arn:
        return Cipher(fetch_encryption_keys(arn, network))
    if not keys:
        raise CannotStart(
            "signing secrets are kept encrypted: set BRIDGE_ENCRYPTION_KEYS to the output of `openssl rand -base64 32`,"
            " or BRIDGE_ENCRYPTION_KEYS_SECRET_ARN to a secret in AWS Secrets Manager that holds it"
        )
    return Cipher(keys)


def build_cipher(settings: Settings) -> Cipher | None:
    """Return the cipher for secrets, None if clients do not sign."""
    if "sigv4" not in (settings.auth or ()):
        return None
    return cipher_for_keys(settings.encryption_keys, settings.encryption_keys_secret_arn, settings.network)


def build_client_stores(settings: Settings, client: redis.Redis) -> ClientStores:
    """Return the parts of the store that hold data of clients, or raise ``CannotStart``."""
    return ClientStores(
        api_keys=RedisApiKeyStore(client, cipher=build_cipher(settings)),
        activities=RedisClientActivities(client),
        replay_cache=RedisReplayCache(client),
        audit=RedisAuditStore(client),
        usage=RedisUsageStore(client),
    )


def build_token_verifiers(settings: Settings) -> TokenVerifiers:
    """Return the token verifiers for the kinds that ``BRIDGE_AUTH`` names."""
    kinds = settings.auth or ()
    issuer, audience, arn = settings.jwt_issuer, settings.jwt_audience, settings.alb_arn
    bearer = None
    if "jwt" in kinds and issuer and audience:
        keys_url = settings.jwt_jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        bearer = open_id_verifier(issuer, audience, keys_url, settings.network)
    load_balancer = None
    if "alb" in kinds and arn:
        header_fields = {"signer": arn, "iss": settings.alb_issuer or "", "client": settings.alb_client_id or ""}
        load_balancer = load_balancer_verifier(header_fields, settings.alb_keys_url, settings.network)
    return TokenVerifiers(bearer=bearer, load_balancer=load_balancer)


def build_browser_sign_in(settings: Settings, client: redis.Redis, clock: Clock) -> BrowserSignIn:
    """Return the sessions of browsers and the sign-in at the OpenID provider."""
    sessions = BrowserSessions(
        RedisSessionStore(client),
        # Sessions need no secrets of keys, so no cipher.
        RedisApiKeyStore(client),
        clock,
        idle_timeout=settings.session_idle_timeout,
        max_age=settings.session_max_age,
    )
    if settings.oidc_client_id is None:
        return BrowserSignIn(sessions=sessions, oidc_login=None)
    roles = RoleMapping(scopes=settings.oidc_roles or (), claim=settings.oidc_roles_claim)
    provider = build_provider_client(settings, clock)
    return BrowserSignIn(
        sessions=sessions, oidc_login=OidcLogin(provider, RedisPendingLoginStore(client), roles, clock)
    )


def build_provider_client(settings: Settings, clock: Clock) -> ProviderClient:
    """Return the client of the OpenID provider at which browsers sign in."""
    registration = ClientRegistration(
        issuer=settings.jwt_issuer or "",
        client_id=settings.oidc_client_id or "",
        client_secret=settings.oidc_client_secret,
    )
    return ProviderClient(registration, clock, settings.network)
