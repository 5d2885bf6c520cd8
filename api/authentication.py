# SPDX-License-Identifier: Apache-2.0
"""Finds out who asks, by the API key that he sends.

A key comes as ``Authorization: Bearer``, as the password of ``Authorization: Basic`` (what MLflow's client makes of
``MLFLOW_TRACKING_TOKEN`` and of ``MLFLOW_TRACKING_USERNAME`` with ``MLFLOW_TRACKING_PASSWORD``) or as ``X-Api-Key``.
"""

import asyncio
import base64
import binascii
import time
from collections import OrderedDict

from api.incoming import Incoming
from api.refusals import TooManyFailures, Unauthenticated
from bridge.bootstrap import Api
from bridge.keyring import ApiKey, read_key
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
        self._needed = bool(bridge.settings.auth)
        self._known: OrderedDict[bytes, tuple[float, Client | None]] = OrderedDict()
        self._failures = Failures()

    async def client_of(self, request: Incoming) -> Client:
        """Return who asks, or raise ``Unauthenticated`` or ``TooManyFailures``."""
        if not self._needed:
            return ANYBODY
        address = request.address(proxies=self._bridge.settings.trusted_proxies or 0)
        key = read_key(_sent(request) or "")
        client = self._remembered(key) if key else None
        if client is not None:
            return client
        if self._failures.too_many(address):
            raise TooManyFailures
        client = await self._look_up(key) if key else None
        if client is None:
            self._failures.note(address)
            raise Unauthenticated
        return client

    def _remembered(self, key: ApiKey) -> Client | None:
        found = self._known.get(key.digest)
        return found[1] if found and found[0] > time.monotonic() else None

    async def _look_up(self, key: ApiKey) -> Client | None:
        """Ask the store, in a thread, for it may take its time; what it says of unknown keys is remembered as well."""
        digest = key.digest
        found = self._known.get(digest)
        if found and found[0] > time.monotonic():
            return found[1]
        client = await asyncio.to_thread(self._bridge.keyring.client_of, key, now=self._bridge.clock.now())
        self._known[digest] = (time.monotonic() + _LASTS, client)
        self._known.move_to_end(digest)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return client


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
