# SPDX-License-Identifier: Apache-2.0
"""The key that job ids are sealed with: made by whichever process comes first, kept in the store."""

import secrets
from typing import Any

import redis

from bridge.redis_outbox import keys


class Seal:
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
