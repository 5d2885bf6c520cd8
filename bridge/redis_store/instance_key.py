# SPDX-License-Identifier: Apache-2.0
"""The key that job ids are sealed with: made by whichever process comes first, kept in the store."""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any

import redis

from bridge.errors import StoreUnavailable
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors


class JobIdKey:
    """Looks the key up once."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._key: bytes | None = None

    def key(self) -> bytes:
        """Return the key."""
        if self._key is None:
            # Asked for before it is made: a store that is full tells what it has, and keeps nothing new.
            self._key = self._client.get(keys.SEAL) or self._made()
        return self._key or b""

    def _made(self) -> bytes | None:
        """Make the key. Losing the race means that another process has, and that its key is the one."""
        self._client.set(keys.SEAL, secrets.token_bytes(32), nx=True)
        found: bytes | None = self._client.get(keys.SEAL)
        return found


#: After how many seconds a store that did not answer is asked again.
_AGAIN = 2.0


class RedisInstanceId:
    """Derives the name from the random key that the store holds, so that nobody else can know it."""

    def __init__(self, client: redis.Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seal = JobIdKey(client)
        self._monotonic = monotonic
        self._failed_at = float("-inf")
        self.known: str | None = None

    def name(self) -> str | None:
        """Return the name, None while the store can't be asked for it."""
        if self.known is None and self._monotonic() - self._failed_at > _AGAIN:
            try:
                with store_errors():
                    self.known = "mlflow-bridge-" + hmac.digest(self._seal.key(), b"via", "sha256").hex()[:16]
            except StoreUnavailable:
                self._failed_at = self._monotonic()
        return self.known
