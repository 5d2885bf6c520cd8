# SPDX-License-Identifier: Apache-2.0
"""Authenticates requests by API key, bearer token, SigV4 signature or the cookie of a browser session.

A key comes as ``Authorization: Bearer``, as the password of ``Authorization: Basic`` (what MLflow's client makes of
``MLFLOW_TRACKING_TOKEN``, or of ``MLFLOW_TRACKING_USERNAME`` with ``MLFLOW_TRACKING_PASSWORD``) or as ``X-Api-Key``.
The token of an OpenID provider comes in the same ways, that of an AWS load balancer as ``x-amzn-oidc-data``.
`api.auth.sigv4` verifies signatures.
"""

import asyncio
import base64
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from cachetools import LRUCache, TTLCache

from api.auth.session_authentication import SessionAuthentication
from api.auth.sigv4 import KEY_CACHE_TTL_S, ParsedSignature, SignatureVerifier, access_key_of
from api.http.exceptions import TooManyFailures, Unauthenticated
from api.http.request import Identity, Request
from bridge.auth.api_keys import KEY_PREFIX, ApiKeyStore, read_key
from bridge.auth.oidc import IssuerUnavailable
from bridge.errors import StoreUnavailable
from bridge.process.clock import Clock
from schemas.client import ANYBODY, Client

_MAX_CACHED = 10_000
_LOGIN_THREADS = 4
#: Failed attempts of one address within a window; further ones are rejected without a look at the credentials.
_MAX_FAILURES = 20
_FAILURE_WINDOW_S = 60.0
_INVALID_SIGNATURE = "The signature does not match the request, or its access key is unknown, expired or revoked."
#: Holds the id of the REST API of Amazon API Gateway that has forwarded the request.
_API_GATEWAY_HEADER = b"x-amzn-apigateway-api-id"
_SIGNATURE_REMOVED = (
    "The request came through Amazon API Gateway without credentials. API Gateway removes AWS signatures: send an API "
    "key (Authorization: Bearer mbk_...), or sign requests for the bridge's own address."
)

_NOT_CACHED = object()

#: Returns the client that a token names, None for an invalid token. May block.
TokenVerifier = Callable[[str], Client | None]


class CredentialVerifier:
    """Verifies API keys in the store, and tokens with the keys of their issuer. Its methods block."""

    def __init__(self, keys: ApiKeyStore, token_verifiers: Mapping[str, TokenVerifier], clock: Clock) -> None:
        """``token_verifiers`` has those of the kinds ``jwt`` and ``alb`` that are configured."""
        self._keys = keys
        self._token_verifiers = token_verifiers
        self._clock = clock

    def client_of(self, credential: "Credential") -> Client | None:
        """Return the client of a credential, None for an invalid one."""
        if credential.kind == "keys":
            key = read_key(credential.text)
            return self._keys.client_of(key, now=self._clock.now()) if key else None
        verify = self._token_verifiers.get(credential.kind)
        client = verify(credential.text) if verify else None
        # Permissions in the store take precedence over those in the token.
        return client and (self._keys.client(client.name) or client)


class Authentication:
    """Authenticates requests. Caches results, and rejects addresses with many failures."""

    def __init__(
        self,
        kinds: Collection[str],
        *,
        credentials: CredentialVerifier,
        signatures: SignatureVerifier | None,
        sessions: SessionAuthentication,
        key_threads: ThreadPoolExecutor,
        trusted_proxies: int,
    ) -> None:
        """``kinds`` are those of BRIDGE_AUTH; without any, every client is an admin."""
        self._kinds = frozenset(kinds)
        self._credentials = credentials
        self._signatures = signatures
        self._sessions = sessions
        self._trusted_proxies = trusted_proxies
        #: Results by the digest of the credential, those of invalid ones included.
        self._results: TTLCache[bytes, Client | None] = TTLCache(_MAX_CACHED, KEY_CACHE_TTL_S)
        #: Credentials that were valid once: failures of others at the same address do not lock them out.
        self._known_good: LRUCache[bytes, None] = LRUCache(_MAX_CACHED)
        self._failures = FailureCounter()
        self._signature_logins: Counter[bytes] = Counter()
        self._logins: dict[bytes, asyncio.Future[Client]] = {}
        self._issuer_retry_at: dict[str, float] = {}
        self._key_threads = key_threads
        # Threads of their own, so that an issuer that hangs delays no client with an API key.
        self._token_threads = ThreadPoolExecutor(_LOGIN_THREADS, thread_name_prefix="login")

    async def authenticate(self, request: Request) -> Identity:
        """Return the identity of the client, or raise ``Unauthenticated`` or ``TooManyFailures``.

        Raises ``StoreUnavailable`` or ``IssuerUnavailable`` if that can't be decided now.
        """
        if not self._kinds:
            return Identity(ANYBODY)
        if self._signatures and (access_key := access_key_of(request)):
            return await self._authenticate_signature(self._signatures, request, access_key)
        # Credentials that a program sends take precedence over the cookie.
        if not self._overrides_cookie(request) and (identity := await self._sessions.authenticate(request)):
            return identity
        return Identity(await self._authenticate_credential(request))

    async def verify_key(self, text: str, request: Request) -> Client:
        """Return the client of an API key with which a person signs in.

        Raises ``Unauthenticated`` or ``TooManyFailures``. Failed attempts are counted as those of all requests are.
        """
        is_accepted = text.startswith(KEY_PREFIX) and "keys" in self._kinds
        return await self._verify_once(Credential("keys", text) if is_accepted else None, request)

    def add_attempt(self, request: Request) -> None:
        """Count a sign-in at the provider as a failed attempt until it has succeeded, or raise ``TooManyFailures``.

        Each one takes room in the store for ten minutes, so the number from one address is limited.
        """
        address = request.address(trusted_proxies=self._trusted_proxies)
        if self._failures.is_locked_out(address):
            raise TooManyFailures
        self._failures.add(address)

    def remove_attempt(self, request: Request) -> None:
        """Take a counted attempt back: the sign-in has succeeded, or the provider did not answer."""
        self._failures.remove(request.address(trusted_proxies=self._trusted_proxies))

    async def _authenticate_credential(self, request: Request) -> Client:
        credential = self._credential(request)
        if credential is None and not _sends_credentials(request):
            # A health check or a browser before its login, and no failed attempt.
            if self._signatures and request.header(_API_GATEWAY_HEADER):
                raise Unauthenticated(_SIGNATURE_REMOVED)
            raise Unauthenticated
        return await self._verify_once(credential, request)

    async def _verify_once(self, credential: "Credential | None", request: Request) -> Client:
        cached = self._results.get(credential.digest, _NOT_CACHED) if credential else _NOT_CACHED
        if isinstance(cached, Client):
            return cached
        address = request.address(trusted_proxies=self._trusted_proxies)
        if credential is None or cached is None:
            return await self._log_in(None, address)
        # A new client begins with many requests at once: equal credentials are one login.
        login = self._logins.get(credential.digest)
        if login is None:
            login = self._logins[credential.digest] = asyncio.ensure_future(self._log_in(credential, address))
            login.add_done_callback(lambda done: self._end_login(credential.digest, done))
        return await asyncio.shield(login)

    async def _log_in(self, credential: "Credential | None", address: str) -> Client:
        """Verify a credential. None stands for one that is known to be invalid."""
        is_known_good = credential is not None and credential.digest in self._known_good
        if not is_known_good and self._failures.is_locked_out(address):
            raise TooManyFailures
        # Counted before the verification, so that concurrent attempts are all counted.
        self._failures.add(address)
        client = await self._verify(credential, address) if credential else None
        if client is None:
            raise Unauthenticated
        self._failures.remove(address)
        return client

    def _end_login(self, digest: bytes, done: "asyncio.Future[Client]") -> None:
        del self._logins[digest]
        # Retrieved, so that asyncio does not report an exception that no request awaits any more.
        if not done.cancelled():
            done.exception()

    async def _authenticate_signature(
        self, signatures: SignatureVerifier, request: Request, access_key: str
    ) -> Identity:
        """Verify a signature. A key that was valid from an address is not locked out by failures of others there."""
        address = request.address(trusted_proxies=self._trusted_proxies)
        origin = f"{access_key} {address}".encode()
        # Before the count: to read the body may take long, and is no attempt yet.
        parsed = await signatures.parse(request)
        if origin not in self._known_good and self._failures.is_locked_out(address):
            raise TooManyFailures
        identity = await self._verify_counted(signatures, parsed, origin, address)
        if identity is None:
            raise Unauthenticated(_INVALID_SIGNATURE)
        self._known_good[origin] = None
        return identity

    async def _verify_counted(
        self, signatures: SignatureVerifier, parsed: ParsedSignature, origin: bytes, address: str
    ) -> Identity | None:
        """Verify a signature. Concurrent logins of a key count as one attempt, until one of them fails."""
        is_first, is_failure = not self._signature_logins[origin], False
        if is_first:
            # Counted before the verification, so that concurrent attempts are all counted.
            self._failures.add(address)
        self._signature_logins[origin] += 1
        try:
            identity = await signatures.verify(parsed)
            is_failure = identity is None
            return identity
        finally:
            self._signature_logins -= Counter([origin])
            # The first attempt is counted already. A failure stays counted, every other attempt does not.
            if is_first != is_failure:
                (self._failures.add if is_failure else self._failures.remove)(address)

    async def _verify(self, credential: "Credential", address: str) -> Client | None:
        """Verify a credential in a thread: store and issuer may respond slowly."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._issuer_retry_at.get(credential.kind, 0.0):
            raise IssuerUnavailable("the issuer's keys were unavailable a moment ago")
        threads = self._key_threads if credential.kind == "keys" else self._token_threads
        try:
            client = await loop.run_in_executor(threads, self._credentials.client_of, credential)
        except StoreUnavailable:
            self._failures.remove(address)
            raise
        except IssuerUnavailable:
            self._issuer_retry_at[credential.kind] = loop.time() + KEY_CACHE_TTL_S
            raise
        self._results[credential.digest] = client
        if client is not None:
            self._known_good[credential.digest] = None
        return client

    def _overrides_cookie(self, request: Request) -> bool:
        """Return whether a request has credentials that a program or an accepted load balancer has set."""
        # A load balancer adds its token to every request, whether or not BRIDGE_AUTH accepts it.
        names = (b"authorization", b"x-api-key", *((b"x-amzn-oidc-data",) if "alb" in self._kinds else ()))
        return any(request.header(name) for name in names)

    def _credential(self, request: Request) -> "Credential | None":
        """Return the credential of a request, if BRIDGE_AUTH accepts its kind."""
        alb_token = request.header(b"x-amzn-oidc-data") if "alb" in self._kinds else None
        if alb_token:
            return Credential("alb", alb_token)
        text = _credential_text(request) or ""
        if text.startswith(KEY_PREFIX):
            return Credential("keys", text) if "keys" in self._kinds else None
        return Credential("jwt", text) if text.count(".") == 2 and "jwt" in self._kinds else None


class Credential:
    """An API key or a token. ``digest`` is its key in the caches, which never hold the credential itself."""

    # Created for each request.
    __slots__ = ("digest", "kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        # Neither stored nor compared with what is stored: of the hashes as strong as SHA-256, this is the fastest.
        self.digest = hashlib.blake2b(f"{kind} {text}".encode(), digest_size=32).digest()


class FailureCounter:
    """Counts failed attempts by address, in windows that begin with the first failure."""

    def __init__(self) -> None:
        #: By address: when its window began, and the failures in it.
        self._windows: LRUCache[str, tuple[float, int]] = LRUCache(_MAX_CACHED)

    def is_locked_out(self, address: str) -> bool:
        """Return whether the address has to wait for its next window."""
        began_at, count = self._windows.get(address, (0.0, 0))
        return count >= _MAX_FAILURES and time.monotonic() - began_at < _FAILURE_WINDOW_S

    def remove(self, address: str) -> None:
        """Take the last attempt back: it was no failure."""
        began_at, count = self._windows.get(address, (0.0, 0))
        if count:
            self._windows[address] = (began_at, count - 1)

    def add(self, address: str) -> None:
        """Count a failed attempt."""
        now = time.monotonic()
        began_at, count = self._windows.get(address, (now, 0))
        is_over = now - began_at >= _FAILURE_WINDOW_S
        self._windows[address] = (now, 1) if is_over else (began_at, count + 1)


def _sends_credentials(request: Request) -> bool:
    """Return whether a request has credentials of any kind, accepted or not."""
    return any(request.header(name) for name in (b"authorization", b"x-api-key", b"x-amzn-oidc-data"))


def _credential_text(request: Request) -> str | None:
    """Return the key or token in ``Authorization``, or else in ``X-Api-Key``."""
    header = request.header(b"authorization")
    if header is None:
        return request.header(b"x-api-key")
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
            except ValueError:
                return None
    return request.header(b"x-api-key")
