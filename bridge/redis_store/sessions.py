# SPDX-License-Identifier: Apache-2.0
"""Browser sessions and sign-ins that are under way, in Redis.

The contracts are `bridge.auth.sessions.SessionStore` and `bridge.auth.oidc_login.PendingLoginStore`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from bridge.auth.oidc_login import PendingLogin
from bridge.auth.sessions import BrowserSession
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors


class RedisSessionStore:
    """See `bridge.auth.sessions.SessionStore` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def put(self, session: BrowserSession, *, ttl: dt.timedelta) -> None:
        """Keep a new session."""
        with store_errors():
            # The index first: a session that is in no list could not be ended by an operator.
            self._client.zadd(keys.SESSIONS, {session.session_id: 0})
            self._client.set(keys.browser_session(session.session_id), _pack(session), px=_ms(ttl))

    def get(self, session_id: str) -> BrowserSession | None:
        """Return a session."""
        with store_errors():
            packed = self._client.get(keys.browser_session(session_id))
        return _unpack(packed) if packed else None

    def touch(self, session: BrowserSession, *, ttl: dt.timedelta) -> None:
        """Keep a session for longer."""
        with store_errors():
            self._client.set(keys.browser_session(session.session_id), _pack(session), px=_ms(ttl), xx=True)

    def end(self, session_id: str) -> BrowserSession | None:
        """End a session."""
        with store_errors():
            packed = self._client.getdel(keys.browser_session(session_id))
            self._client.zrem(keys.SESSIONS, session_id)
        return _unpack(packed) if packed else None

    def page(self, *, after: str, limit: int) -> tuple[Sequence[BrowserSession], str | None]:
        """Return live sessions; the index forgets those that have ended."""
        with store_errors():
            begin = f"({after}" if after else "-"
            ids = [each.decode() for each in self._client.zrangebylex(keys.SESSIONS, begin, "+", start=0, num=limit)]
            pipeline = self._client.pipeline(transaction=False)
            for session_id in ids:
                pipeline.get(keys.browser_session(session_id))
            found = pipeline.execute() if ids else []
            ended = [session_id for session_id, packed in zip(ids, found, strict=True) if packed is None]
            if ended:
                self._client.zrem(keys.SESSIONS, *ended)
        return [_unpack(packed) for packed in found if packed], ids[-1] if len(ids) == limit else None


class RedisPendingLoginStore:
    """See `bridge.auth.oidc_login.PendingLoginStore` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def put(self, state: str, login: PendingLogin, *, ttl: dt.timedelta) -> None:
        """Keep a sign-in that is under way."""
        with store_errors():
            self._client.set(keys.pending_login(state), msgspec.msgpack.encode(login), px=_ms(ttl))

    def take(self, state: str) -> PendingLogin | None:
        """Return a sign-in that is under way and forget it."""
        with store_errors():
            packed = self._client.getdel(keys.pending_login(state))
        return _unpack_login(packed) if packed else None


def _ms(span: dt.timedelta) -> int:
    # Redis refuses an expiry of 0.
    return max(1, round(span.total_seconds() * 1000))


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(BrowserSession).decode
_unpack_login = msgspec.msgpack.Decoder(PendingLogin).decode
