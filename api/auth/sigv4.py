# SPDX-License-Identifier: Apache-2.0
"""Verifies requests that are signed with AWS Signature Version 4 and an access key of the bridge's own.

The signature itself is computed in `bridge.auth.sigv4`.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from cachetools import LRUCache

from api.http.exceptions import Unauthenticated
from api.http.request import Identity, Request
from bridge.auth.api_keys import ApiKeyStore, SecretUnreadable
from bridge.auth.sigv4 import (
    ALGORITHM,
    EMPTY_SHA256,
    InvalidSignature,
    SignedHeaders,
    SignedRequest,
    parse_signed_headers,
)
from bridge.events import Observer, SecretDecryptionFailed
from bridge.process.clock import Clock
from schemas.client import Client

T = TypeVar("T")

#: How long a key is cached. A revoked key is accepted for this long.
KEY_CACHE_TTL_S = 5.0
_MAX_CACHED_KEYS = 10_000
#: A body without a signed hash is read before the client is known, so it must not be longer.
_MAX_UNHASHED_BODY_BYTES = 1 << 20
_AUTHORIZATION_OF_BRIDGE_KEY = re.compile(ALGORITHM + r"\s.*Credential=(MBKA[A-Z0-9]{16})/")


def access_key_of(request: Request) -> str | None:
    """Return the id of the bridge's access key in ``Authorization``, None if there is none."""
    found = _AUTHORIZATION_OF_BRIDGE_KEY.match(request.header(b"authorization") or "")
    return found[1] if found else None


class SignatureVerifier:
    """Verifies signatures, with a cache of the keys' secrets and clients."""

    def __init__(self, keys: ApiKeyStore, threads: Executor, clock: Clock, observe: Observer) -> None:
        self._keys = keys
        self._threads = threads
        self._clock = clock
        self._observe = observe
        self._cache: LRUCache[str, _CachedKey] = LRUCache(_MAX_CACHED_KEYS)
        #: Stands for the secret of an unknown key.
        self._placeholder_secret = secrets.token_urlsafe(32)

    async def parse(self, request: Request) -> "ParsedSignature":
        """Return the signature of a request, or raise ``Unauthenticated`` for an invalid form.

        A body with a signed hash is not read here. The request checks the hash when its body is read.
        """
        received = _signed_request(request)
        try:
            headers = parse_signed_headers(received, now=self._clock.now())
        except InvalidSignature as error:
            raise Unauthenticated(f"The signature is not valid: {error}.") from None
        return ParsedSignature(received, headers, await _body_sha256(request, headers))

    async def verify(self, parsed: "ParsedSignature") -> Identity | None:
        """Return the identity that a signature proves, None if it is not made with a live key."""
        headers = parsed.headers
        key = await self._cached_key(headers.access_key)
        # Computed without a secret, too: the time that it takes must not reveal which keys exist.
        is_valid = headers.is_signed_with(key.secret or self._placeholder_secret, parsed.received, parsed.body_sha256)
        if not is_valid or key.secret is None:
            return None
        if key.client is None:
            key.client = await self._in_thread(self._client, headers.access_key)
        return Identity(key.client, headers) if key.client else None

    async def _cached_key(self, access_key: str) -> "_CachedKey":
        loop = asyncio.get_running_loop()
        key = self._cache.get(access_key)
        if key is None or key.expires_at < loop.time():
            # Taken before the read: what a slow store returns may be old when it arrives.
            expires_at = loop.time() + KEY_CACHE_TTL_S
            key = self._cache[access_key] = _CachedKey(expires_at, await self._in_thread(self._secret, access_key))
        return key

    async def _in_thread(self, read: Callable[[str], T], access_key: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read, access_key)

    def _secret(self, access_key: str) -> str | None:
        try:
            return self._keys.secret_of(access_key, now=self._clock.now())
        except SecretUnreadable:
            self._observe(SecretDecryptionFailed(access_key=access_key))
            return None

    def _client(self, access_key: str) -> Client | None:
        return self._keys.use_access_key(access_key, now=self._clock.now())


@dataclass(frozen=True, slots=True)
class ParsedSignature:
    """The signature of a request before its verification, and the hash of the body."""

    received: SignedRequest
    headers: SignedHeaders
    body_sha256: str


@dataclass(slots=True)
class _CachedKey:
    expires_at: float
    secret: str | None = field(repr=False)
    client: Client | None = None


def _signed_request(request: Request) -> SignedRequest:
    """Return the parts of a request that a signature covers, as the client has sent them."""
    path = request.target.partition("?")[0].encode("utf-8", "surrogateescape")
    return SignedRequest(method=request.method, path=path, query=request.scope["query_string"], headers=request.headers)


async def _body_sha256(request: Request, headers: SignedHeaders) -> str:
    """Return the hash that the signature must cover. A body that is read later must have this hash."""
    if headers.body_sha256 is None:
        body = await request.buffer(max_bytes=_MAX_UNHASHED_BODY_BYTES)
        return hashlib.sha256(body).hexdigest()
    if request.has_body:
        request.expect_hash(headers.body_sha256)
    elif headers.body_sha256 != EMPTY_SHA256:
        raise Unauthenticated("The signature is not valid: it covers the hash of a body, and there is none.")
    return headers.body_sha256
