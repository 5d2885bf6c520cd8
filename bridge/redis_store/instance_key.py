# SPDX-License-Identifier: Apache-2.0
"""The installation's secret key in the store: it signs job ids, and the instance id is derived from it.

The first process that needs the key creates it.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any

import redis

from bridge.errors import StoreUnavailable
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

#: After an error the store is not asked again within this time.
_RETRY_AFTER_S = 2.0


class JobIdKey:
    """The key that signs job ids, read once."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._key: bytes | None = None

    def key(self) -> bytes:
        """Return the key."""
        if self._key is None:
            # Read before it is created: a full store still answers reads, and refuses new keys.
            self._key = self._client.get(keys.JOB_ID_KEY) or self._create()
        return self._key or b""

    def _create(self) -> bytes | None:
        # Of several processes that create the key at once, the first wins.
        self._client.set(keys.JOB_ID_KEY, secrets.token_bytes(32), nx=True)
        created: bytes | None = self._client.get(keys.JOB_ID_KEY)
        return created


class RedisInstanceId:
    """The instance id for loop detection, derived from the secret key so that no other party can guess it."""

    def __init__(self, client: redis.Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._job_id_key = JobIdKey(client)
        self._monotonic = monotonic
        self._failed_at = float("-inf")
        self.known: str | None = None

    def name(self) -> str | None:
        """Return the instance id, None while the store is unavailable."""
        if self.known is None and self._monotonic() - self._failed_at > _RETRY_AFTER_S:
            try:
                with store_errors():
                    self.known = "mlflow-bridge-" + hmac.digest(self._job_id_key.key(), b"via", "sha256").hex()[:16]
            except StoreUnavailable:
                self._failed_at = self._monotonic()
        return self.known
