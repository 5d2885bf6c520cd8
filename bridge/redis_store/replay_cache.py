# SPDX-License-Identifier: Apache-2.0
"""Used signatures in Redis. The contract is `bridge.auth.sigv4.Signatures`.

``bridge:signed:<first half of the signature>`` is a string, what came of its request; it ends with its window.
"""

import datetime as dt
from typing import Any

import redis

from bridge.auth.sigv4 import UNDER_WAY
from bridge.redis_store.client import store_errors


class RedisReplayCache:
    """See `bridge.auth.sigv4.Signatures` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        """Note that a request is under way."""
        with store_errors():
            if self._client.set(_key(signature), UNDER_WAY, nx=True, px=lease):
                return None
            found: bytes | None = self._client.get(_key(signature))
        # One that ended between the two questions is as good as under way: who asks comes again.
        return UNDER_WAY if found is None else found

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        """Note what came of it."""
        with store_errors():
            self._client.set(_key(signature), outcome, px=keep)

    def forget(self, signature: str) -> None:
        """Note that nothing came of it."""
        with store_errors():
            self._client.delete(_key(signature))


def _key(signature: str) -> str:
    # 128 bits of it tell any two apart.
    return f"bridge:signed:{signature[:32]}"
