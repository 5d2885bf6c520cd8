# SPDX-License-Identifier: Apache-2.0
"""Durable acceptance of writes: many offers in one round trip, a verdict for each, within the caps on pending bytes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import redis

from bridge.dispatch.redis_failures import is_redis_failure
from bridge.errors import OverCap, StoreUnavailable
from bridge.events import Observer
from bridge.outbox import Accepted, Caps, Offer, SentOffers, Verdict
from bridge.process.background import BackgroundThread
from bridge.redis_store import keys
from bridge.redis_store.client import disconnect, info_of_servers, read_durability, store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.records import ENTRY_PREFIX_BYTES, pack_write
from bridge.redis_store.scripts import FinishedCalls, Scripts, SentCalls
from bridge.redis_store.store_format import declare_format
from bridge.redis_store.timestamps import from_ms
from schemas.idempotency import KeyReused
from schemas.job import JobId

#: The share of Redis' own ``maxmemory`` above which nothing more is accepted. Settling needs a little memory, too.
WATERMARK = 0.8
#: Maximum age of the usage of other partitions. A cap can be exceeded by what arrives within this time.
_REFRESH_AFTER_S = 1.0
#: Above this age an accept waits for new figures.
_MAX_AGE_S = 2.0


class WriteAcceptor:
    """Accepts the writes of `RedisOutbox`. See `bridge.outbox.Outbox` for the promises."""

    def __init__(
        self,
        client: redis.Redis,
        scripts: Scripts,
        job_id_key: JobIdKey,
        *,
        idempotency_ttl_ms: int,
        caps: Caps,
        observe: Observer | None,
    ) -> None:
        self._client: Any = client
        self._scripts = scripts
        self._idempotency_ttl_ms = idempotency_ttl_ms
        self._caps = caps
        self._occupancy = Occupancy(client, caps, observe=observe)
        self._job_id_key = job_id_key

    def send(self, offers: Sequence[Offer], *, repeated: bool) -> SentOffers:
        """Send the offers to the store, which accepts each at the end of its lane."""
        try:
            with store_errors():
                job_id_key = self._job_id_key.key()
                reused = self._bind_idempotency_keys(offers)
                acceptable = [offer for index, offer in enumerate(offers) if index not in reused]
                calls = self._send(acceptable, repeated=repeated)
        except StoreUnavailable as error:
            return _SentOffers(FinishedCalls([]), partial(_all_unavailable, offers, error))

        def verdicts() -> list[Verdict]:
            try:
                with store_errors():
                    results = iter(self._results(acceptable, calls))
            except StoreUnavailable as error:
                return _all_unavailable(offers, error)
            verdicts = [
                KeyReused() if index in reused else _verdict(offer, next(results), job_id_key, self._caps)
                for index, offer in enumerate(offers)
            ]
            self._unbind_unacceptable(offers, verdicts)
            return verdicts

        return _SentOffers(calls, verdicts)

    def _bind_idempotency_keys(self, offers: Sequence[Offer]) -> set[int]:
        """Bind each key to its request; return the indices of offers with a key of another request.

        An offer that loses the race for a key is a repeat of an equal request, which the script then recognises, or
        another request, which must not have the key.
        """
        keyed = [
            (index, keys.idempotency_guard(offer.client, offer.idempotency.key), offer.idempotency.fingerprint)
            for index, offer in enumerate(offers)
            if offer.idempotency and offer.idempotency.reserves_key
        ]
        if not keyed:
            return set()
        # Of two requests with the same key, the first has it.
        guards = {guard: fingerprint for _, guard, fingerprint in reversed(keyed)}
        bound = self._bind_guards(guards)
        if None in bound.values():
            # A guard has expired, or another request has unbound it, between the two commands.
            bound = self._bind_guards(guards)
        return {index for index, guard, fingerprint in keyed if bound[guard] != fingerprint}

    def _bind_guards(self, guards: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """Bind each guard that is free to its fingerprint. Return the fingerprints to which the guards are bound.

        The idempotency record lies in the partition of the lane. The guard is one for all partitions.
        """
        pipeline = self._client.pipeline(transaction=False)
        for guard, fingerprint in guards.items():
            pipeline.set(guard, fingerprint, nx=True, px=self._idempotency_ttl_ms)
            pipeline.get(guard)
        return dict(zip(guards, pipeline.execute()[1::2], strict=True))

    def _send(self, offers: Sequence[Offer], *, repeated: bool) -> SentCalls:
        try:
            return self._scripts.accept.send([self._arguments(offer, repeated=repeated) for offer in offers])
        except Exception as error:
            if not _is_connection_broken(error):
                raise
            return FinishedCalls(self._repeat(offers))

    def _results(self, offers: Sequence[Offer], calls: SentCalls) -> list[Any]:
        try:
            return calls.results()
        except Exception as error:
            if not _is_connection_broken(error):
                raise
            return self._repeat(offers)

    def _repeat(self, offers: Sequence[Offer]) -> list[Any]:
        # The pooled connection was broken, most often by a restart of the store, and so are its neighbours.
        # The accepts may have been executed all the same: by their ids the script recognises them.
        disconnect(self._client, in_use=False)
        return self._scripts.accept([self._arguments(offer, repeated=True) for offer in offers])

    def _arguments(self, offer: Offer, *, repeated: bool) -> tuple[list[str], list[Any]]:
        """Return the keys and the arguments of accept.lua."""
        lane, idempotency, fingerprint = offer.write.lane, offer.idempotency, b""
        partition = keys.partition(lane)
        script_keys = keys.append_keys(lane, partition)
        if idempotency:
            script_keys.append(keys.idempotency(partition, offer.client, idempotency.key))
            fingerprint = idempotency.fingerprint
        client_cap = _client_cap(offer, self._caps)
        client_bytes, partition_bytes = self._occupancy.available_bytes(partition, offer.client, client_cap)
        record = pack_write(offer.write, offer.client, offer.trace_context)
        # A write that can never be accepted must not hold up the others of its request.
        group = b"" if _cap_exceeded_alone(ENTRY_PREFIX_BYTES + len(record), offer, self._caps) else offer.group
        caps = (offer.client, self._caps.lane, client_bytes, partition_bytes, group)
        return script_keys, [lane, offer.accept_id, int(repeated), fingerprint, self._idempotency_ttl_ms, *caps, record]

    def _unbind_unacceptable(self, offers: Sequence[Offer], verdicts: Sequence[Verdict]) -> None:
        """Unbind the keys of requests with a first write that exceeds a cap by itself: a smaller one may use the key.

        An equal request that arrives at this moment is declined for the same reason.
        """
        for offer, verdict in zip(offers, verdicts, strict=True):
            key = offer.idempotency
            if key and key.reserves_key and isinstance(verdict, OverCap) and verdict.max_bytes is not None:
                # A key that can't be unbound now expires.
                with suppress(StoreUnavailable), store_errors():
                    guard = keys.idempotency_guard(offer.client, key.key)
                    self._scripts.unbind_idempotency_key([guard], [key.fingerprint])


class _SentOffers:
    def __init__(self, calls: SentCalls, verdicts: Callable[[], list[Verdict]]) -> None:
        self.descriptor, self.timeout_s = calls.descriptor, calls.timeout_s
        self.verdicts, self.abandon = verdicts, calls.abandon


class Occupancy:
    """The bytes that each partition holds, read about once a second while anything is accepted.

    accept.lua knows the figures of its own partition exactly; this class supplies those of the others.
    """

    def __init__(self, client: redis.Redis, caps: Caps, *, observe: Observer | None = None) -> None:
        self._client: Any = client
        self._caps = caps
        self._held_by_partition: list[dict[str, int]] = []
        self._held_in_total: Counter[str] = Counter()
        self._is_over_watermark = False
        self._is_format_declared = False
        self._refreshed_at = float("-inf")
        self._refresh_lock = threading.Lock()
        self._thread = BackgroundThread("occupancy", self._refresh_in_background, runs_on_call=True, observe=observe)

    def available_bytes(self, partition: int, client: str, client_cap: int) -> tuple[int, int]:
        """Return how many bytes may be pending in this partition: of this client, and of all clients."""
        age = time.monotonic() - self._refreshed_at
        # Read once: the thread drops the figures when it finds the store unfit.
        held = self._held_by_partition
        if held and age < _MAX_AGE_S:
            if age > _REFRESH_AFTER_S:
                # While the figures are still good, no client waits for the next ones.
                self._thread.call()
        else:
            held = self._refresh_now()
        if self._is_over_watermark:
            return client_cap, 0
        held_here, client_field = held[partition], f"of:{client}"
        client_bytes_elsewhere = self._held_in_total[client_field] - held_here.get(client_field, 0)
        bytes_elsewhere = self._held_in_total["bytes"] - held_here.get("bytes", 0)
        return client_cap - client_bytes_elsewhere, self._caps.store - bytes_elsewhere

    def _refresh_in_background(self) -> None:
        # Errors are ignored here: an accept that needs new figures refreshes them itself and gets the error.
        with suppress(StoreUnavailable), self._refresh_lock:
            # A call that arrived during the last refresh has nothing left to do.
            if time.monotonic() - self._refreshed_at >= _REFRESH_AFTER_S:
                self._refresh()

    def _refresh_now(self) -> list[dict[str, int]]:
        # A client waits for the first refresh, but not for one timeout after the other.
        if self._refresh_lock.acquire(timeout=_REFRESH_AFTER_S):
            try:
                if not self._held_by_partition or time.monotonic() - self._refreshed_at >= _REFRESH_AFTER_S:
                    self._refresh()
            finally:
                self._refresh_lock.release()
        held = self._held_by_partition
        if not held:
            raise StoreUnavailable("the store did not report its usage in time; retry")
        return held

    def _refresh(self) -> None:
        with store_errors():
            faults = read_durability(self._client).faults
            if faults:
                # The store may have been restarted, or replaced, since the startup checks of this process. The figures
                # are those of the earlier store.
                self._held_by_partition = []
                raise StoreUnavailable("the store is not durable: " + "; ".join(faults))
            if not self._is_format_declared:
                declare_format(self._client)
                self._is_format_declared = True
            held = _read_held(self._client)
            memories = info_of_servers(self._client, "memory")
            self._is_over_watermark = any(_is_over_watermark(memory) for memory in memories)
            self._held_by_partition = held
            self._held_in_total = sum(map(Counter, held), Counter())
            self._refreshed_at = time.monotonic()


def held_bytes(client: Any) -> int:  # noqa: ANN401 - see RedisOutbox
    """Return the bytes of all pending writes and dead letters."""
    return sum(held.get("bytes", 0) for held in _read_held(client))


def _all_unavailable(offers: Sequence[Offer], error: StoreUnavailable) -> list[Verdict]:
    return [error for _ in offers]


def _is_connection_broken(error: Exception) -> bool:
    """Return whether the error is a broken connection, and no timeout or error response of the store."""
    if isinstance(error, (TypeError, AttributeError, ValueError, OSError)):
        return is_redis_failure(error) and not isinstance(error, TimeoutError)
    return isinstance(error, redis.ConnectionError)


def _verdict(offer: Offer, result: Any, job_id_key: bytes, caps: Caps) -> Verdict:  # noqa: ANN401 - as accept.lua says, or an error
    match result:
        case [first, accepted_ms, was_idle, replayed]:
            accepted_at = from_ms(accepted_ms)
            write = offer.write
            job_id = JobId(
                partition=keys.partition(write.lane),
                lane=write.lane,
                position=int(first),
                op=write.op,
                accepted_at=accepted_at,
            )
            return Accepted(
                job_id=job_id.seal(offer.client, job_id_key),
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
    """Return which cap was exceeded; with its size if the write alone exceeds one, which no delivery can change."""
    size = ENTRY_PREFIX_BYTES + len(pack_write(offer.write, offer.client, offer.trace_context))
    return _cap_exceeded_alone(size, offer, caps) or OverCap(cap)


def _cap_exceeded_alone(size: int, offer: Offer, caps: Caps) -> OverCap | None:
    """Return the cap that a write of this size exceeds in an empty store, None if it exceeds none."""
    if size > caps.lane:
        return OverCap("lane", caps.lane)
    if size > (client_cap := _client_cap(offer, caps)):
        return OverCap("client", client_cap)
    return OverCap("store", caps.store) if size > caps.store else None


def _client_cap(offer: Offer, caps: Caps) -> int:
    return caps.client if offer.most_pending is None else offer.most_pending


def _read_held(client: Any) -> list[dict[str, int]]:  # noqa: ANN401
    """Return the ``held`` hash of each partition."""
    pipeline = client.pipeline(transaction=False)
    for number in range(keys.PARTITIONS):
        pipeline.hgetall(keys.held(number))
    return [{field.decode(): int(value) for field, value in held.items()} for held in pipeline.execute()]


def _is_over_watermark(memory: dict[str, Any]) -> bool:
    max_memory = memory.get("maxmemory", 0)
    return bool(max_memory) and memory.get("used_memory", 0) > max_memory * WATERMARK
