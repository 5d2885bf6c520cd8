# SPDX-License-Identifier: Apache-2.0
"""Accepts what is offered: all offers of a moment in one round trip, each with a verdict of its own."""

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import redis

from bridge.dispatch.redis_failures import is_redis_failure
from bridge.errors import OverCap, StoreUnavailable
from bridge.events import Observer
from bridge.outbox import Accepted, Caps, Offer, Verdict
from bridge.process.background import BackgroundThread
from bridge.redis_store import keys
from bridge.redis_store.client import disconnect, every_info, read_durability, store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.records import pack_write
from bridge.redis_store.scripts import Scripts
from schemas.idempotency import KeyReused
from schemas.job import JobId

#: What accept.lua puts before each record, in bytes.
_ENTRY_HEAD = 21


class WriteAcceptor:
    """The store's side of intake. See `bridge.outbox.Outbox.accept_all` for the promise."""

    def __init__(
        self,
        client: redis.Redis,
        scripts: Scripts,
        seal: JobIdKey,
        *,
        idempotency_ttl_ms: int,
        caps: Caps,
        observe: Observer | None,
    ) -> None:
        self._client: Any = client
        self._scripts = scripts
        self._idempotency_ms = idempotency_ttl_ms
        self._caps = caps
        self._occupancy = Occupancy(client, caps, observe=observe)
        self._seal = seal

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool) -> list[Verdict]:
        """Accept each write at the end of its lane."""
        try:
            with store_errors():
                seal = self._seal.key()
                reused = self._reserve(offers)
                tried = [offer for number, offer in enumerate(offers) if number not in reused]
                results = iter(self._run(tried, repeated=repeated))
                verdicts = [
                    KeyReused() if number in reused else _verdict(offer, next(results), seal, self._caps)
                    for number, offer in enumerate(offers)
                ]
        except StoreUnavailable as error:
            return [error for _ in offers]
        self._free(offers, verdicts)
        return verdicts

    def _reserve(self, offers: Sequence[Offer]) -> set[int]:
        """Bind each key to its request, wherever its lane lies; return the offers whose key is another request's.

        Losing the race for a key means that an equal request is being accepted, which the accept itself finds out, or
        another one, which was first and keeps the key.
        """
        keyed = [
            (number, keys.idempotency_guard(offer.client, offer.idempotency.key), offer.idempotency.fingerprint)
            for number, offer in enumerate(offers)
            if offer.idempotency and offer.idempotency.whole
        ]
        if not keyed:
            return set()
        pipeline = self._client.pipeline(transaction=False)
        for _, guard, fingerprint in keyed:
            pipeline.set(guard, fingerprint, nx=True, px=self._idempotency_ms)
            pipeline.get(guard)
        bound = pipeline.execute()[1::2]
        return {number for (number, _, fingerprint), kept in zip(keyed, bound, strict=True) if kept != fingerprint}

    def _free(self, offers: Sequence[Offer], verdicts: Sequence[Verdict]) -> None:
        """Forget the keys of requests whose first write can never be taken: they may come with a smaller one.

        Losing the race to an equal request that comes at this moment means that this one is declined, too.
        """
        for offer, verdict in zip(offers, verdicts, strict=True):
            key = offer.idempotency
            if key and key.whole and isinstance(verdict, OverCap) and verdict.most is not None:
                # What can't be forgotten now ends by itself.
                with suppress(StoreUnavailable), store_errors():
                    self._scripts.free([keys.idempotency_guard(offer.client, key.key)], [key.fingerprint])

    def _run(self, offers: Sequence[Offer], *, repeated: bool) -> list[Any]:
        try:
            return self._scripts.accept([self._arguments(offer, repeated=repeated) for offer in offers])
        except Exception as error:
            if not _is_broken(error):
                raise
            # The pooled connection was broken, most often by a restart of the store, and so are its neighbours.
            # The accepts may have been executed all the same: their ids let the script find that out.
            disconnect(self._client, in_use=False)
            return self._scripts.accept([self._arguments(offer, repeated=True) for offer in offers])

    def _arguments(self, offer: Offer, *, repeated: bool) -> tuple[list[str], list[Any]]:
        lane, idempotency, fingerprint = offer.write.lane, offer.idempotency, b""
        number = keys.partition(lane)
        lane_keys = keys.for_accept(lane, number)
        if idempotency:
            lane_keys.append(keys.idempotency(number, offer.client, idempotency.key))
            fingerprint = idempotency.fingerprint
        most = _most_pending(offer, self._caps)
        room = self._occupancy.room(number, offer.client, most)
        record = pack_write(offer.write, offer.client, offer.trace_context)
        # One that can never be taken holds up no other of its request.
        request = b"" if _never_fits(_ENTRY_HEAD + len(record), offer, self._caps) else offer.request
        caps = (offer.client, self._caps.lane, *room, request)
        return lane_keys, [lane, offer.accept_id, int(repeated), fingerprint, self._idempotency_ms, *caps, record]


def _is_broken(error: Exception) -> bool:
    """Return whether the connection was broken. What the store has answered, or not in time, is not tried again."""
    if isinstance(error, (TypeError, AttributeError, ValueError, OSError)):
        return is_redis_failure(error) and not isinstance(error, TimeoutError)
    return isinstance(error, redis.ConnectionError)


def _verdict(offer: Offer, result: Any, seal: bytes, caps: Caps) -> Verdict:  # noqa: ANN401 - as accept.lua says, or an error
    match result:
        case [first, now_ms, was_idle, replayed]:
            accepted_at = dt.datetime.fromtimestamp(int(now_ms) / 1000, dt.UTC)
            write = offer.write
            job_id = JobId(
                partition=keys.partition(write.lane),
                lane=write.lane,
                position=int(first),
                op=write.op,
                accepted_at=accepted_at,
            )
            return Accepted(
                job_id=job_id.seal(offer.client, seal),
                lane=write.lane,
                position=int(first),
                accepted_at=accepted_at,
                was_idle=bool(was_idle),
                replayed=bool(replayed),
            )
        case b"mismatch":
            return KeyReused()
        case b"lane" | b"client" | b"store":
            return _over_cap(offer, result.decode(), caps)
    return StoreUnavailable(f"{type(result).__name__}: {result}")


def _over_cap(offer: Offer, cap: Literal["lane", "client", "store"], caps: Caps) -> OverCap:
    """Say which cap it was; or, if nothing that is delivered can make room enough, which one it is larger than."""
    alone = _ENTRY_HEAD + len(pack_write(offer.write, offer.client, offer.trace_context))
    return _never_fits(alone, offer, caps) or OverCap(cap)


def _never_fits(size: int, offer: Offer, caps: Caps) -> OverCap | None:
    if size > caps.lane:
        return OverCap("lane", caps.lane)
    if size > (of_client := _most_pending(offer, caps)):
        return OverCap("client", of_client)
    return OverCap("store", caps.store) if size > caps.store else None


def _most_pending(offer: Offer, caps: Caps) -> int:
    return caps.client if offer.most_pending is None else offer.most_pending


#: The part of Redis' own ``maxmemory`` beyond which nothing more is accepted. Settling needs a little memory, too.
WATERMARK = 0.8
#: How old the figures of other partitions may be. Meanwhile a cap can be exceeded by what arrives in this time.
_FRESH_FOR = 1.0
#: After this time an accept waits for new ones.
_USABLE_FOR = 2.0


class Occupancy:
    """What each partition holds, looked up about once a second while anything is accepted.

    The accept script knows its own partition exactly. What the others hold it is told from here.
    """

    def __init__(self, client: redis.Redis, caps: Caps, *, observe: Observer | None = None) -> None:
        self._client: Any = client
        self._caps = caps
        self._held: list[dict[str, int]] = []
        self._total: Counter[str] = Counter()
        self._over_watermark = False
        self._looked_at = float("-inf")
        self._looking = threading.Lock()
        self._thread = BackgroundThread("occupancy", self._look_again, called=True, observe=observe)

    def room(self, partition: int, client: str, most: int) -> tuple[int, int]:
        """Return how many bytes this client, of ``most``, and everybody may have pending in this partition."""
        age = time.monotonic() - self._looked_at
        # Read once: the thread forgets the figures when the store turns out to be unfit.
        held = self._held
        if held and age < _USABLE_FOR:
            if age > _FRESH_FOR:
                # While the last look is still good, no client waits for the next one.
                self._thread.call()
        else:
            held = self._look_now()
        if self._over_watermark:
            return most, 0
        here, field = held[partition], f"of:{client}"
        elsewhere_of_client = self._total[field] - here.get(field, 0)
        elsewhere = self._total["bytes"] - here.get("bytes", 0)
        return most - elsewhere_of_client, self._caps.store - elsewhere

    def _look_again(self) -> None:
        """Look, in the thread. An accept that can no longer go on without a look finds out by itself what is wrong."""
        with suppress(StoreUnavailable), self._looking:
            # A call that came during the last look, or while a client looked, has nothing left to do.
            if time.monotonic() - self._looked_at >= _FRESH_FOR:
                self._look()

    def _look_now(self) -> list[dict[str, int]]:
        # A client waits for the first look, but not for one timeout after the other.
        if self._looking.acquire(timeout=_FRESH_FOR):
            try:
                if not self._held or time.monotonic() - self._looked_at >= _FRESH_FOR:
                    self._look()
            finally:
                self._looking.release()
        held = self._held
        if not held:
            raise StoreUnavailable("the store has not said yet how full it is")
        return held

    def _look(self) -> None:
        with store_errors():
            self._ask()

    def _ask(self) -> None:
        faults = read_durability(self._client).faults
        if faults:
            # It may have been started, or replaced, after the processes that looked at it when they started. Nobody
            # may go on with what was known of it before.
            self._held = []
            raise StoreUnavailable("the store can't be trusted with accepted writes: " + "; ".join(faults))
        found = _held(self._client)
        self._over_watermark = any(_is_over(memory) for memory in every_info(self._client, "memory"))
        self._held = found
        self._total = sum(map(Counter, self._held), Counter())
        self._looked_at = time.monotonic()


def held_bytes(client: Any) -> int:  # noqa: ANN401 - see RedisOutbox
    """Return how many bytes pending writes and dead letters are."""
    return sum(held.get("bytes", 0) for held in _held(client))


def _held(client: Any) -> list[dict[str, int]]:  # noqa: ANN401
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        pipeline.hgetall(keys.held(number))
    return [{field.decode(): int(value) for field, value in held.items()} for held in pipeline.execute()]


def _is_over(memory: dict[str, Any]) -> bool:
    most = memory.get("maxmemory", 0)
    return bool(most) and memory.get("used_memory", 0) > most * WATERMARK
