# SPDX-License-Identifier: Apache-2.0
"""Finds out who has signed a request with AWS Signature Version 4 and a key of ours (`bridge.auth.sigv4`)."""

import asyncio
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from api.http.exceptions import Unauthenticated
from api.http.request import Request
from bridge.auth.api_keys import SecretUnreadable
from bridge.auth.sigv4 import (
    ALGORITHM,
    EMPTY_SHA256,
    InvalidSignature,
    SignedHeaders,
    SignedRequest,
    parse_signed_headers,
)
from bridge.bootstrap.processes import Api
from bridge.events import SecretDecryptionFailed
from schemas.client import Client

T = TypeVar("T")

#: For how long, in seconds, it is believed what the store has said of a key: so long may a revoked one live on.
LASTS = 5.0
_MOST_REMEMBERED = 10_000
#: A body whose hash was not sent is read before anybody knows whose it is, so a longer one is not.
_MOST_UNDECLARED = 1 << 20
_OURS = re.compile(ALGORITHM + r"\s.*Credential=(MBKA[A-Z0-9]{16})/")


def access_key_of(request: Request) -> str | None:
    """Return the id of the key of ours that a request says it is signed with, None if it is signed with none."""
    found = _OURS.match(request.header(b"authorization") or "")
    return found[1] if found else None


class SignatureVerifier:
    """Knows clients by their replay_cache."""

    def __init__(self, bridge: Api, threads: Executor) -> None:
        self._bridge = bridge
        self._threads = threads
        self._known: OrderedDict[str, _Known] = OrderedDict()
        #: Stands in for the secret of a key that there is not.
        self._nobodys = secrets.token_urlsafe(32)

    async def read(self, request: Request) -> "Signed":
        """Return what a request says of its signature, or raise ``Unauthenticated`` for a bad form.

        The body, where it has not been read yet, is held to the hash that was signed by whoever reads it.
        """
        received = _received(request)
        try:
            claim = parse_signed_headers(received, now=self._bridge.clock.now())
        except InvalidSignature as error:
            raise Unauthenticated(f"The signature does not count: {error}.") from None
        return Signed(received, claim, await _body_sha256(request, claim))

    async def client_of(self, request: Request, signed: "Signed") -> Client | None:
        """Return who has signed, None if nobody with a live key has."""
        claim = signed.claim
        known = await self._look_up(claim.access_key)
        # Judged even without a secret: the time that it takes must not tell which keys there are.
        right = claim.is_of(known.secret or self._nobodys, signed.received, signed.body_sha256)
        if not right or known.secret is None:
            return None
        if known.client is None:
            known.client = await self._in_thread(self._client, claim.access_key)
        request.claim = claim
        return known.client

    async def _look_up(self, access_key: str) -> "_Known":
        loop = asyncio.get_running_loop()
        known = self._known.get(access_key)
        if known is None or known.until < loop.time():
            # Since when it is believed: an answer that took long is older than it looks.
            until = loop.time() + LASTS
            known = _Known(until, await self._in_thread(self._secret, access_key))
            self._known[access_key] = known
            self._known.move_to_end(access_key)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def _in_thread(self, ask: Callable[[str], T], access_key: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, access_key)

    def _secret(self, access_key: str) -> str | None:
        try:
            return self._bridge.api_keys.secret_of(access_key, now=self._bridge.clock.now())
        except SecretUnreadable:
            self._bridge.observe(SecretDecryptionFailed(access_key=access_key))
            return None

    def _client(self, access_key: str) -> Client | None:
        return self._bridge.api_keys.client_signed(access_key, now=self._bridge.clock.now())


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of its signature, and what its body hashes to."""

    received: SignedRequest
    claim: SignedHeaders
    body_sha256: str


@dataclass(slots=True)
class _Known:
    """What the store has said of a key, and until when that is believed."""

    until: float
    secret: str | None = field(repr=False)
    client: Client | None = None


def _received(request: Request) -> SignedRequest:
    path = request.target.partition("?")[0].encode("utf-8", "surrogateescape")
    return SignedRequest(method=request.method, path=path, query=request.scope["query_string"], headers=request.headers)


async def _body_sha256(request: Request, claim: SignedHeaders) -> str:
    """Return the hash that the signature must be over; whatever body comes later is held to it."""
    if claim.body_sha256 is None:
        body = await request.keep(longest=_MOST_UNDECLARED)
        return hashlib.sha256(body).hexdigest()
    if request.has_body:
        request.expect(claim.body_sha256)
    elif claim.body_sha256 != EMPTY_SHA256:
        raise Unauthenticated("The signature does not count: there is no body with the hash that was signed.")
    return claim.body_sha256
