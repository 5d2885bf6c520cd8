# SPDX-License-Identifier: Apache-2.0
"""What this bridge is called on the way of its requests, the same in all its processes. See `bridge.hop.Hop`."""

import hmac
import time
from collections.abc import Callable

import redis

from bridge.errors import StoreUnavailable
from bridge.redis_outbox.client import store_errors
from bridge.redis_outbox.seal import Seal

#: After how many seconds a store that did not answer is asked again.
_AGAIN = 2.0


class RedisHop:
    """Derives the name from the random key that the store holds, so that nobody else can know it."""

    def __init__(self, client: redis.Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seal = Seal(client)
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
