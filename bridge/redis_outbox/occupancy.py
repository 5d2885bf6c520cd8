# SPDX-License-Identifier: Apache-2.0
"""How full the store is, so that intake stops while there is still room for deliveries to write their outcomes."""

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import redis

from bridge.background import BackgroundThread
from bridge.errors import StoreUnavailable
from bridge.events import Observer
from bridge.outbox import Caps
from bridge.redis_outbox import keys
from bridge.redis_outbox.client import every_info, store_errors
from bridge.redis_outbox.durability import read_durability

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
