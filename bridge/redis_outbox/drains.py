# SPDX-License-Identifier: Apache-2.0
"""The log of drains in Redis. The contract is `bridge.dead_letters.DrainLog`."""

import datetime as dt
from typing import Any

import msgspec
import redis

from bridge.redis_outbox import keys
from bridge.redis_outbox.client import store_errors
from bridge.redis_outbox.scripts import load
from schemas.dead_letter import Drain, DrainState

_KEPT = dt.timedelta(days=7)


class RedisDrainLog:
    """See `bridge.dead_letters.DrainLog` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._advance = load(client, "advance")

    def begin(self, drain: Drain) -> None:
        """Keep a new drain."""
        began = drain.began_at.timestamp()
        fields = {"order": _encode(drain), "state": drain.state, "done": 0, "advanced": began}
        with store_errors():
            # Whoever finds it active finds it whole.
            self._client.hset(keys.drain(drain.drain_id), mapping=fields)
            self._client.zadd(keys.ACTIVE_DRAINS, {drain.drain_id: began})

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain."""
        with store_errors():
            fields = self._client.hgetall(keys.drain(drain_id))
        return _read(fields) if fields else None

    def due(self, *, guard: dt.timedelta) -> list[tuple[Drain, str | None, dt.datetime]]:
        """Return drains that run and that nobody has been given within ``guard``."""
        found = []
        with store_errors():
            for drain_id in self._client.zrange(keys.ACTIVE_DRAINS, 0, -1):
                name = drain_id.decode()
                if self._client.set(keys.drain_guard(name), 1, nx=True, px=_ms(guard)):
                    fields = self._client.hgetall(keys.drain(name))
                    advanced = dt.datetime.fromtimestamp(float(fields[b"advanced"]), dt.UTC)
                    found.append((_read(fields), fields.get(b"cursor", b"").decode() or None, advanced))
        return found

    def advance(self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, at: dt.datetime) -> bool:
        """Note how far a drain is."""
        return self._change(drain_id, state, "cursor", cursor or "", "done", done, "advanced", at.timestamp())

    def cancel(self, drain_id: str) -> bool:
        """Stop a drain that runs."""
        return self._change(drain_id, DrainState.CANCELLED)

    def _change(self, drain_id: str, state: DrainState, *fields: Any) -> bool:  # noqa: ANN401 - as Redis takes them
        drain_keys = [keys.drain(drain_id), keys.ACTIVE_DRAINS]
        with store_errors():
            return bool(self._advance(drain_keys, [drain_id, state, _ms(_KEPT), *fields]))


def _read(fields: dict[bytes, bytes]) -> Drain:
    order = _decode(fields[b"order"])
    return msgspec.structs.replace(order, state=DrainState(fields[b"state"].decode()), done=int(fields[b"done"]))


def _ms(span: dt.timedelta) -> int:
    return round(span.total_seconds() * 1000)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Drain).decode
