# SPDX-License-Identifier: Apache-2.0
"""Finds out who asks, by the API key or the token that he sends.

A key comes as ``Authorization: Bearer``, as the password of ``Authorization: Basic`` (what MLflow's client makes of
``MLFLOW_TRACKING_TOKEN`` and of ``MLFLOW_TRACKING_USERNAME`` with ``MLFLOW_TRACKING_PASSWORD``) or as ``X-Api-Key``.
A token of an OpenID provider comes in the same ways, that of our load balancer as ``x-amzn-oidc-data``.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

from api.incoming import Incoming
from api.refusals import TooManyFailures, Unauthenticated
from bridge.bootstrap import Api
from bridge.keyring import read_key
from schemas.client import ANYBODY, Client

#: For how long, in seconds, it is believed what the store has said of a key: so long may a revoked one live on.
_LASTS = 5.0
_MOST_REMEMBERED = 10_000
#: Failed logins of one address within a minute, after which it is not looked any more whether the next is right.
_MOST_FAILURES = 20
_MINUTE = 60.0


class Authentication:
    """Knows the clients by their keys."""

    def __init__(self, bridge: Api) -> None:
        self._bridge = bridge
        self._kinds = frozenset(bridge.settings.auth or ())
        self._looked_at: OrderedDict[bytes, tuple[float, Client | None]] = OrderedDict()
        self._failures = Failures()

    async def client_of(self, request: Incoming) -> Client:
        """Return who asks, or raise ``Unauthenticated`` or ``TooManyFailures``."""
        if not self._kinds:
            return ANYBODY
        proof = self._proof(request)
        known, client = self._remembered(proof)
        if client is not None:
            return client
        address = request.address(proxies=self._bridge.settings.trusted_proxies or 0)
        if self._failures.too_many(address):
            raise TooManyFailures
        if proof is not None and not known:
            # In a thread, for whoever is asked may take his time.
            client = await asyncio.to_thread(self._ask, proof)
            self._remember(proof, client)
        if client is None:
            self._failures.note(address)
            raise Unauthenticated
        return client

    def _proof(self, request: Incoming) -> "_Proof | None":
        """Return what a request brings to say who asks, if it is of a kind that counts."""
        of_alb = request.header(b"x-amzn-oidc-data")
        if of_alb and "alb" in self._kinds:
            return _Proof("alb", of_alb)
        sent = _sent(request) or ""
        if read_key(sent):
            return _Proof("keys", sent) if "keys" in self._kinds else None
        return _Proof("jwt", sent) if sent.count(".") == 2 and "jwt" in self._kinds else None

    def _ask(self, proof: "_Proof") -> Client | None:
        keyring, tokens, key = self._bridge.keyring, self._bridge.tokens, read_key(proof.text)
        if key:
            return keyring.client_of(key, now=self._bridge.clock.now())
        reader = tokens.bearer if proof.kind == "jwt" else tokens.of_alb
        client = reader.client_of(proof.text) if reader else None
        # What is kept of a client here counts more than what his token says.
        return client and (keyring.client(client.name) or client)

    def _remembered(self, proof: "_Proof | None") -> tuple[bool, Client | None]:
        """Return whether this was looked at lately, and what came of it; what is unknown is remembered, too."""
        found = self._looked_at.get(proof.digest) if proof else None
        return (True, found[1]) if found and found[0] > time.monotonic() else (False, None)

    def _remember(self, proof: "_Proof", client: Client | None) -> None:
        self._looked_at[proof.digest] = (time.monotonic() + _LASTS, client)
        self._looked_at.move_to_end(proof.digest)
        if len(self._looked_at) > _MOST_REMEMBERED:
            self._looked_at.popitem(last=False)


@dataclass(frozen=True)
class _Proof:
    """What somebody sends to say who he is."""

    kind: str
    text: str = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """What is remembered of it."""
        return hashlib.sha256(f"{self.kind} {self.text}".encode()).digest()


class Failures:
    """Counts failed logins by address."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def too_many(self, address: str) -> bool:
        """Return whether the address has to wait."""
        since, count = self._counts.get(address, (0.0, 0))
        return count >= _MOST_FAILURES and time.monotonic() - since < _MINUTE

    def note(self, address: str) -> None:
        """Note that a login from there has failed."""
        now = time.monotonic()
        since, count = self._counts.pop(address, (now, 0))
        self._counts[address] = (now, 1) if now - since >= _MINUTE else (since, count + 1)
        if len(self._counts) > _MOST_REMEMBERED:
            self._counts.popitem(last=False)


def _sent(request: Incoming) -> str | None:
    """Return the key that a request brings, however it does."""
    header = request.header(b"authorization")
    if header is None:
        return request.header(b"x-api-key")
    kind, _, value = header.partition(" ")
    match kind.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None
