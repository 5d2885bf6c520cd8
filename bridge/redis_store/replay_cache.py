# SPDX-License-Identifier: Apache-2.0
"""The replay cache of signed requests in Redis. The contract is `bridge.auth.sigv4.ReplayCache`.

``bridge:signed:<first half of the signature>`` is a string, the outcome of the request. It expires with the signature.
"""

import datetime as dt
from typing import Any

import redis

from bridge.auth.sigv4 import UNDER_WAY
from bridge.redis_store.client import store_errors


class RedisReplayCache:
    """See `bridge.auth.sigv4.ReplayCache` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        """Reserve the signature for a request in progress."""
        with store_errors():
            if self._client.set(_key(signature), UNDER_WAY, nx=True, px=lease):
                return None
            found: bytes | None = self._client.get(_key(signature))
        # A record that expired between the two commands is treated as in progress: the client retries.
        return UNDER_WAY if found is None else found

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        """Store the outcome of the request."""
        with store_errors():
            self._client.set(_key(signature), outcome, px=keep)

    def forget(self, signature: str) -> None:
        """Release the signature: the request had no effect."""
        with store_errors():
            self._client.delete(_key(signature))


def _key(signature: str) -> str:
    # 128 bits of a signature are unique.
    return f"bridge:signed:{signature[:32]}"
