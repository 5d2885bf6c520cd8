# SPDX-License-Identifier: Apache-2.0
"""Offers writes to intake: all that are read in one turn of the event loop at once, for they cost one round trip."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bridge.outbox import Accepted, Offer, Verdict
from bridge.outbox.intake import LONG_WRITES_BYTES, MAX_BATCH_WRITES, Intake

_Future = asyncio.Future[Verdict | Exception]
#: So many long writes are on their way to the store at a time.
_MOST_LONG = 2


class WriteBatcher:
    """Collects the offers of a turn."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._collected: list[tuple[Offer, _Future]] = []
        self._threads = ThreadPoolExecutor(_MOST_LONG, thread_name_prefix="long-write")

    async def accept(self, offer: Offer) -> Accepted:
        """Have a write accepted, or raise what its verdict is."""
        loop = asyncio.get_running_loop()
        if offer.write.size > LONG_WRITES_BYTES:
            verdict = await loop.run_in_executor(self._threads, next, self._intake.accept([offer]))
        else:
            verdict = await self._with_others(offer, loop)
        if isinstance(verdict, Accepted):
            return verdict
        raise verdict

    async def _with_others(self, offer: Offer, loop: asyncio.AbstractEventLoop) -> Verdict | Exception:
        future: _Future = loop.create_future()
        if not self._collected:
            # In the turn after next: what is ready to be read now is in it, too.
            loop.call_soon(loop.call_soon, self._submit, loop)
        self._collected.append((offer, future))
        return await future

    def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        collected, self._collected = self._collected[:MAX_BATCH_WRITES], self._collected[MAX_BATCH_WRITES:]
        if self._collected:
            loop.call_soon(self._submit, loop)
        futures, here = [future for _, future in collected], threading.get_ident()

        def tell(verdicts: Sequence[Verdict | Exception]) -> None:
            if threading.get_ident() == here:
                _resolve(futures, verdicts)
                return
            # A loop that has ended has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, futures, verdicts)

        self._intake.submit([offer for offer, _ in collected], tell)


def _resolve(futures: Sequence[_Future], verdicts: Sequence[Verdict | Exception]) -> None:
    for future, verdict in zip(futures, verdicts, strict=True):
        if not future.done():
            future.set_result(verdict)
