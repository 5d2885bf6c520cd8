# SPDX-License-Identifier: Apache-2.0
"""The drains in Redis. The contract is `bridge.outbox.dead_letters.DrainLog`."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from bridge.outbox.dead_letters import DueDrain
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import load
from bridge.redis_store.timestamps import to_ms
from schemas.drain import Drain, DrainState

#: How long an ended drain is kept.
_RETENTION = dt.timedelta(days=7)
#: The newest drains that a list scans.
_MAX_LISTED = 1000
#: The stored form of no rate.
_NO_RATE = "none"


class RedisDrainLog:
    """See `bridge.outbox.dead_letters.DrainLog` for the promises."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._advance = load(client, "advance_drain")

    def begin(self, drain: Drain) -> None:
        """Store a new drain."""
        began_s = drain.began_at.timestamp()
        fields = {"order": _encode_drain(drain), "state": drain.state, "done": 0, "advanced": began_s}
        # An earlier release does not know a filter's `op` and `error_code`, so it must not find a drain that has them.
        active_key = keys.ACTIVE_DRAINS_BY_CAUSE if drain.filter.is_about_cause else keys.ACTIVE_DRAINS
        with store_errors():
            # In this order: a drain in the active set is complete.
            self._client.hset(keys.drain(drain.drain_id), mapping=fields)
            self._client.zadd(keys.DRAINS, {drain.drain_id: began_s})
            self._client.zadd(active_key, {drain.drain_id: began_s})

    def drain(self, drain_id: str) -> Drain | None:
        """Return a drain."""
        with store_errors():
            fields = self._client.hgetall(keys.drain(drain_id))
        return read_drain(fields) if fields else None

    def drains(self, *, state: DrainState | None, limit: int) -> list[Drain]:
        """Return drains, the newest first."""
        with store_errors():
            listed = self._client.zrevrange(keys.DRAINS, 0, _MAX_LISTED - 1)
            # An earlier release enters the drains that it begins into this set alone.
            unlisted = [each for each in self._client.zrange(keys.ACTIVE_DRAINS, 0, -1) if each not in set(listed)]
            drain_ids = (*listed, *unlisted)
            pipeline = self._client.pipeline(transaction=False)
            for drain_id in drain_ids:
                pipeline.hgetall(keys.drain(drain_id.decode()))
            fields_by_id = dict(zip(drain_ids, pipeline.execute(), strict=True))
            if expired := [drain_id for drain_id, fields in fields_by_id.items() if not fields]:
                self._client.zrem(keys.DRAINS, *expired)
        drains = [read_drain(fields) for fields in fields_by_id.values() if fields]
        drains.sort(key=lambda drain: drain.began_at, reverse=True)
        return [drain for drain in drains if state in (None, drain.state)][:limit]

    def due(self, *, guard: dt.timedelta) -> list[DueDrain]:
        """Return running drains that no other call has returned within ``guard``."""
        due_drains = []
        with store_errors():
            for active_key in (keys.ACTIVE_DRAINS, keys.ACTIVE_DRAINS_BY_CAUSE):
                for member in self._client.zrange(active_key, 0, -1):
                    drain_id = member.decode()
                    if self._client.set(keys.drain_guard(drain_id), 1, nx=True, px=to_ms(guard)):
                        fields = self._client.hgetall(keys.drain(drain_id))
                        if fields.get(b"state") == DrainState.RUNNING.encode():
                            due_drains.append(_read_due_drain(fields))
                        else:
                            # An earlier release has cancelled it: it knows only one of the two sets.
                            self._client.zrem(active_key, member)
        return due_drains

    def advance(
        self, drain_id: str, *, state: DrainState, cursor: str | None, done: int, skipped: int, at: dt.datetime
    ) -> Drain | None:
        """Store the progress of a drain."""
        progress = ("cursor", cursor or "", "done", done, "skipped", skipped, "advanced", at.timestamp())
        return self._change(drain_id, state, *progress)

    def change_rate(self, drain_id: str, rate: float | None) -> Drain | None:
        """Change the rate of a running drain."""
        return self._change(drain_id, DrainState.RUNNING, "rate", _NO_RATE if rate is None else repr(float(rate)))

    def cancel(self, drain_id: str) -> bool:
        """Stop a running drain."""
        return self._change(drain_id, DrainState.CANCELLED) is not None

    def _change(self, drain_id: str, state: DrainState, *fields: Any) -> Drain | None:  # noqa: ANN401 - as Redis takes them
        drain_keys = [keys.drain(drain_id), keys.ACTIVE_DRAINS, keys.ACTIVE_DRAINS_BY_CAUSE]
        with store_errors():
            changed = self._advance(drain_keys, [drain_id, state, to_ms(_RETENTION), *fields])
        return read_drain(dict(zip(changed[::2], changed[1::2], strict=True))) if changed else None


def read_drain(fields: Mapping[bytes, bytes]) -> Drain:
    """Return a drain as it is stored."""
    order, state, done = _decode_drain(fields[b"order"]), fields[b"state"].decode(), int(fields[b"done"])
    rate, skipped, ended = fields.get(b"rate"), int(fields.get(b"skipped", 0)), fields.get(b"ended")
    changes: dict[str, Any] = {"state": DrainState(state), "done": done, "skipped": skipped}
    if rate is not None:
        changes["rate"] = None if rate == _NO_RATE.encode() else float(rate)
    if ended is not None:
        changes["finished_at"] = dt.datetime.fromtimestamp(float(ended), dt.UTC)
    if state == DrainState.FINISHED:
        # The stored number lacks the letters that were replayed or discarded before the drain reached them.
        changes["skipped"] = max(0, order.total - done)
    return msgspec.structs.replace(order, **changes)


def _read_due_drain(fields: Mapping[bytes, bytes]) -> DueDrain:
    return DueDrain(
        drain=read_drain(fields),
        cursor=fields.get(b"cursor", b"").decode() or None,
        advanced_at=dt.datetime.fromtimestamp(float(fields[b"advanced"]), dt.UTC),
    )


_encode_drain = msgspec.msgpack.Encoder().encode
_decode_drain = msgspec.msgpack.Decoder(Drain).decode
