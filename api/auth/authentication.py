# SPDX-License-Identifier: Apache-2.0
"""Finds out who asks, by the API key or the token that he sends.

A key comes as ``Authorization: Bearer``, as the password of ``Authorization: Basic`` (what MLflow's client makes of
``MLFLOW_TRACKING_TOKEN`` and of ``MLFLOW_TRACKING_USERNAME`` with ``MLFLOW_TRACKING_PASSWORD``) or as ``X-Api-Key``.
A token of an OpenID provider comes in the same ways, that of our load balancer as ``x-amzn-oidc-data``. Who signs his
requests says so in ``Authorization``, too (`api/auth/sigv4.py`).
"""

import asyncio
import base64
import hashlib
import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.auth.sigv4 import LASTS, SignatureVerifier, Signed, access_key_of
from api.http.exceptions import TooManyFailures, Unauthenticated
from api.http.request import Request
from bridge.auth.api_keys import KEY_PREFIX, read_key
from bridge.auth.oidc import IssuerUnavailable
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from schemas.client import ANYBODY, Client

T = TypeVar("T")

_MOST_REMEMBERED = 10_000
#: Failed logins of one address within a minute, after which it is not looked any more whether the next is right.
_MOST_FAILURES = 20
_MINUTE = 60.0
_NOBODY_SIGNED = "Nobody with a live key has signed this request as it came in."


class Authentication:
    """Knows the clients by their keys."""

    def __init__(self, bridge: Api) -> None:
        self._bridge = bridge
        self._kinds = frozenset(bridge.settings.auth or ())
        self._looked_at: OrderedDict[bytes, tuple[float, Client | None]] = OrderedDict()
        #: What was right once: others' failures from the same address do not shut it out.
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._failures = Failures()
        self._signing: Counter[bytes] = Counter()
        self._under_way: dict[bytes, asyncio.Future[Client]] = {}
        self._issuer_back_at: dict[str, float] = {}
        # Apart, so that an issuer that hangs keeps nobody with a key waiting.
        self._threads = {is_key: ThreadPoolExecutor(4, thread_name_prefix="login") for is_key in (True, False)}
        self._signers = SignatureVerifier(bridge, self._threads[True]) if "sigv4" in self._kinds else None

    async def client_of(self, request: Request) -> Client:
        """Return who asks, or raise ``Unauthenticated`` or ``TooManyFailures``."""
        if not self._kinds:
            return ANYBODY
        if self._signers and (access_key := access_key_of(request)):
            return await self._signer(self._signers, request, access_key)
        return await self._bearer(request)

    async def _bearer(self, request: Request) -> Client:
        """Return who has sent a key or a token."""
        proof = self._proof(request)
        known, client = self._remembered(proof)
        if client is not None:
            return client
        if proof is None and not _says_something(request):
            # A health check, or a browser that does not know yet: it has not tried to log in.
            raise Unauthenticated
        address = request.address(proxies=self._bridge.settings.trusted_proxies or 0)
        if proof is None or known:
            return await self._log_in(None, address)
        # A new client begins with many requests at once: equal proofs are one login.
        login = self._under_way.get(proof.digest)
        if login is None:
            login = self._under_way[proof.digest] = asyncio.ensure_future(self._log_in(proof, address))
            login.add_done_callback(lambda done: self._over(proof.digest, done))
        return await asyncio.shield(login)

    async def _log_in(self, proof: "_Proof | None", address: str) -> Client:
        """Look at a proof; none is one that has failed."""
        was_good = proof is not None and proof.digest in self._good
        if not was_good and self._failures.too_many(address):
            raise TooManyFailures
        # Counted before it is looked at, so that many at once are as many.
        self._failures.note(address)
        client = await self._look_at(proof, address) if proof else None
        if client is None:
            raise Unauthenticated
        self._failures.forgive(address)
        return client

    def _over(self, digest: bytes, done: "asyncio.Future[Client]") -> None:
        del self._under_way[digest]
        # Looked at, so that asyncio does not complain where nobody has waited for it.
        if not done.cancelled():
            done.exception()

    async def _signer(self, signers: SignatureVerifier, request: Request, access_key: str) -> Client:
        """Return who has signed. A key that was right from an address is not shut out by others' failures there."""
        address = request.address(proxies=self._bridge.settings.trusted_proxies or 0)
        place = f"{access_key} {address}".encode()
        # A body that has to be read first may take its time, and is no guess yet.
        signed = await signers.read(request)
        if place not in self._good and self._failures.too_many(address):
            raise TooManyFailures
        client = await self._judge(signers, request, signed, place)
        if client is None:
            raise Unauthenticated(_NOBODY_SIGNED)
        _remember(self._good, place, None)
        return client

    async def _judge(self, signers: SignatureVerifier, request: Request, signed: Signed, place: bytes) -> Client | None:
        """Return who has signed. Logins of one key at the same time count as one, until one of them has failed."""
        address = request.address(proxies=self._bridge.settings.trusted_proxies or 0)
        is_first, is_failure = not self._signing[place], False
        if is_first:
            # Counted before it is looked at, so that many at once are as many.
            self._failures.note(address)
        self._signing[place] += 1
        try:
            client = await signers.client_of(request, signed)
            is_failure = client is None
            return client
        finally:
            self._signing -= Counter([place])
            if is_first != is_failure:
                (self._failures.note if is_failure else self._failures.forgive)(address)

    async def _look_at(self, proof: "_Proof", address: str) -> Client | None:
        """Ask the store, or the issuer of a token, in a thread: whoever is asked may take his time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._issuer_back_at.get(proof.kind, 0.0):
            raise IssuerUnavailable("the issuer's keys could not be had a moment ago")
        try:
            client = await loop.run_in_executor(self._threads[proof.kind == "keys"], self._ask, proof)
        except StoreUnavailable:
            self._failures.forgive(address)
            raise
        except IssuerUnavailable:
            self._issuer_back_at[proof.kind] = loop.time() + LASTS
            raise
        _remember(self._looked_at, proof.digest, (time.monotonic() + LASTS, client))
        if client is not None:
            _remember(self._good, proof.digest, None)
        return client

    def _proof(self, request: Request) -> "_Proof | None":
        """Return what a request brings to say who asks, if it is of a kind that counts."""
        of_alb = request.header(b"x-amzn-oidc-data") if "alb" in self._kinds else None
        if of_alb:
            return _Proof("alb", of_alb)
        sent = _sent(request) or ""
        if sent.startswith(KEY_PREFIX):
            return _Proof("keys", sent) if "keys" in self._kinds else None
        return _Proof("jwt", sent) if sent.count(".") == 2 and "jwt" in self._kinds else None

    def _ask(self, proof: "_Proof") -> Client | None:
        api_keys, tokens = self._bridge.api_keys, self._bridge.tokens
        if proof.kind == "keys":
            key = read_key(proof.text)
            return api_keys.client_of(key, now=self._bridge.clock.now()) if key else None
        reader = tokens.bearer if proof.kind == "jwt" else tokens.of_alb
        client = reader.client_of(proof.text) if reader else None
        # What is kept of a client here counts more than what his token says.
        return client and (api_keys.client(client.name) or client)

    def _remembered(self, proof: "_Proof | None") -> tuple[bool, Client | None]:
        """Return whether this was looked at lately, and what came of it; what is unknown is remembered, too."""
        found = self._looked_at.get(proof.digest) if proof else None
        return (True, found[1]) if found and found[0] > time.monotonic() else (False, None)


class _Proof:
    """What somebody sends to say who he is; ``digest`` is what is remembered of it."""

    # Each request brings one.
    __slots__ = ("digest", "kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        # Never stored nor compared with what is; of those as strong as SHA-256 it is the one that costs least.
        self.digest = hashlib.blake2b(f"{kind} {text}".encode(), digest_size=32).digest()


class Failures:
    """Counts failed logins by address."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def too_many(self, address: str) -> bool:
        """Return whether the address has to wait."""
        since, count = self._counts.get(address, (0.0, 0))
        return count >= _MOST_FAILURES and time.monotonic() - since < _MINUTE

    def forgive(self, address: str) -> None:
        """Note that the last one was none."""
        since, count = self._counts.get(address, (0.0, 0))
        if count:
            self._counts[address] = (since, count - 1)

    def note(self, address: str) -> None:
        """Note that a login from there has failed."""
        now = time.monotonic()
        since, count = self._counts.pop(address, (now, 0))
        self._counts[address] = (now, 1) if now - since >= _MINUTE else (since, count + 1)
        if len(self._counts) > _MOST_REMEMBERED:
            self._counts.popitem(last=False)


def _remember(memory: OrderedDict[bytes, T], digest: bytes, what: T) -> None:
    memory[digest] = what
    memory.move_to_end(digest)
    if len(memory) > _MOST_REMEMBERED:
        memory.popitem(last=False)


def _says_something(request: Request) -> bool:
    return any(request.header(name) for name in (b"authorization", b"x-api-key", b"x-amzn-oidc-data"))


def _sent(request: Request) -> str | None:
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
            except ValueError:
                return None
    return request.header(b"x-api-key")
