# SPDX-License-Identifier: Apache-2.0
"""Durable acceptance of writes: many offers in one round trip, a verdict for each, within the caps on pending bytes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import redis

from bridge.dispatch.redis_failures import is_redis_failure
from bridge.errors import OverCap, StoreUnavailable
from bridge.events import Observer
from bridge.outbox import ACCEPT_ID_BYTES, Accepted, Caps, Offer, SentOffers, Verdict
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
#: A call of accept.lua takes no more writes. A long call would keep the store from serving others.
_MAX_WRITES_OF_CALL = 1000
_MAX_BYTES_OF_CALL = 64 * 1024
#: The time that accept.lua puts before an entry.
_STAMP_BYTES = ENTRY_PREFIX_BYTES - ACCEPT_ID_BYTES


@dataclass(slots=True)
class _Call:
    """A call of accept.lua: the indices of the offers that it accepts, its keys and its arguments."""

    indices: list[int]
    keys: list[str]
    arguments: list[Any]
    entry_bytes: int

    def has_room_for(self, entry: bytes) -> bool:
        return len(self.indices) < _MAX_WRITES_OF_CALL and self.entry_bytes + len(entry) <= _MAX_BYTES_OF_CALL

    def add(self, index: int, entry: bytes) -> None:
        self.indices.append(index)
        self.arguments.append(entry)
        self.entry_bytes += len(entry)


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
                calls, sent = self._send(acceptable, repeated=repeated)
        except StoreUnavailable as error:
            return _SentOffers(FinishedCalls([]), partial(_all_unavailable, offers, error))

        def verdicts() -> list[Verdict]:
            try:
                with store_errors():
                    results = iter(self._results(acceptable, calls, sent))
            except StoreUnavailable as error:
                return _all_unavailable(offers, error)
            verdicts = [
                KeyReused() if index in reused else _verdict(offer, next(results), job_id_key, self._caps)
                for index, offer in enumerate(offers)
            ]
            self._unbind_unacceptable(offers, verdicts)
            return verdicts

        return _SentOffers(sent, verdicts)

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

    def _send(self, offers: Sequence[Offer], *, repeated: bool) -> tuple[list[_Call], SentCalls]:
        calls = self._calls(offers, repeated=repeated)
        try:
            return calls, self._scripts.accept.send([(call.keys, call.arguments) for call in calls])
        except Exception as error:
            if not _is_connection_broken(error):
                raise
            return self._repeat(offers)

    def _results(self, offers: Sequence[Offer], calls: list[_Call], sent: SentCalls) -> list[Any]:
        """Return the result of each offer."""
        try:
            results = sent.results()
        except Exception as error:
            if not _is_connection_broken(error):
                raise
            calls, sent = self._repeat(offers)
            results = sent.results()
        return _results_by_offer(calls, results)

    def _repeat(self, offers: Sequence[Offer]) -> tuple[list[_Call], SentCalls]:
        # The pooled connection was broken, most often by a restart of the store, and so are its neighbours.
        # The accepts may have been executed all the same: by their ids the script recognises them.
        disconnect(self._client, in_use=False)
        calls = self._calls(offers, repeated=True)
        return calls, FinishedCalls(self._scripts.accept([(call.keys, call.arguments) for call in calls]))

    def _calls(self, offers: Sequence[Offer], *, repeated: bool) -> list[_Call]:
        """Return the calls that accept these offers: one for the writes of a request in a lane, else one for each."""
        calls: list[_Call] = []
        latest: dict[tuple[str, bytes], _Call] = {}
        for index, offer in enumerate(offers):
            entry = offer.accept_id + pack_write(offer.write, offer.client, offer.trace_context)
            # A write that can never be accepted must not hold up the others of its request.
            group = offer.group if _cap_exceeded_alone(_STAMP_BYTES + len(entry), offer, self._caps) is None else b""
            may_join = bool(group) and not repeated and offer.idempotency is None
            lane_of_group = offer.write.lane, group
            call = latest.get(lane_of_group) if may_join else None
            if call and call.has_room_for(entry):
                call.add(index, entry)
                continue
            script_keys, arguments = self._arguments(offer, group, repeated=repeated)
            call = _Call([index], script_keys, [*arguments, entry], len(entry))
            calls.append(call)
            if may_join:
                latest[lane_of_group] = call
            else:
                # A later write of the lane must not be stored before this one.
                latest.pop(lane_of_group, None)
        return calls

    def _arguments(self, offer: Offer, group: bytes, *, repeated: bool) -> tuple[list[str], list[Any]]:
        """Return the keys of accept.lua, and its arguments before the entries."""
        lane, idempotency, fingerprint = offer.write.lane, offer.idempotency, b""
        partition = keys.partition(lane)
        script_keys = keys.append_keys(lane, partition)
        if idempotency:
            script_keys.append(keys.idempotency(partition, offer.client, idempotency.key))
            fingerprint = idempotency.fingerprint
        client_cap = _client_cap(offer, self._caps)
        client_bytes, partition_bytes = self._occupancy.available_bytes(partition, offer.client, client_cap)
        caps = (offer.client, self._caps.lane, client_bytes, partition_bytes, group)
        return script_keys, [lane, int(repeated), fingerprint, self._idempotency_ttl_ms, *caps]

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


def _results_by_offer(calls: Sequence[_Call], results: Sequence[Any]) -> list[Any]:
    """Return the result of each offer, as if it had been accepted by a call of its own."""
    by_offer: dict[int, Any] = {}
    for call, result in zip(calls, results, strict=True):
        match result:
            case [first, accepted_ms, was_idle, replayed, count, exceeded]:
                for number, index in enumerate(call.indices):
                    is_dispatched = was_idle if number == 0 else 0
                    accepted = [int(first) + number, accepted_ms, is_dispatched, replayed]
                    by_offer[index] = accepted if number < count else exceeded
            case _:
                by_offer |= dict.fromkeys(call.indices, result)
    return [by_offer[index] for index in range(len(by_offer))]


def _verdict(offer: Offer, result: Any, job_id_key: bytes, caps: Caps) -> Verdict:  # noqa: ANN401 - as accept.lua says, or an error
    match result:
        case [position, accepted_ms, was_idle, replayed]:
            accepted_at = from_ms(accepted_ms)
            write = offer.write
            job_id = JobId(
                partition=keys.partition(write.lane),
                lane=write.lane,
                position=position,
                op=write.op,
                accepted_at=accepted_at,
            )
            return Accepted(
                job_id=job_id.seal(offer.client, job_id_key),
                lane=write.lane,
                position=position,
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
