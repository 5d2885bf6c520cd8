# SPDX-License-Identifier: Apache-2.0
"""Micro-batching: writes that are read in one turn of the event loop are stored in one round trip."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from bridge.outbox import Accepted, Offer, Verdict
from bridge.outbox.intake import LONG_WRITES_BYTES, MAX_BATCH_WRITES, Intake

#: Resolves to the verdict of the store about one write.
_Future = asyncio.Future[Verdict | Exception]
#: Long writes that are stored at a time.
_MAX_LONG_WRITES = 2


class WriteBatcher:
    """Collects the writes of a turn of the event loop."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._collected: list[tuple[Offer, _Future]] = []
        #: Whether a batch is at the store.
        self._is_storing = False
        self._threads = ThreadPoolExecutor(_MAX_LONG_WRITES, thread_name_prefix="long-write")

    async def accept(self, offer: Offer) -> Accepted:
        """Store a write, or raise the error that says why it is not stored."""
        loop = asyncio.get_running_loop()
        if offer.write.size > LONG_WRITES_BYTES:
            # `Intake.accept` is a generator: the thread stores the write when it takes the first verdict.
            verdict = await loop.run_in_executor(self._threads, next, self._intake.accept([offer]))
        else:
            verdict = await self._in_batch(offer, loop)
        if isinstance(verdict, Accepted):
            return verdict
        raise verdict

    async def _in_batch(self, offer: Offer, loop: asyncio.AbstractEventLoop) -> Verdict | Exception:
        future: _Future = loop.create_future()
        if not self._collected:
            # In the turn after next, so that requests that are ready to be read now join the batch.
            loop.call_soon(loop.call_soon, self._submit, loop)
        self._collected.append((offer, future))
        return await future

    def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_storing or not self._collected:
            # What is collected now goes with the next batch, as soon as the store has responded.
            return
        batch, self._collected = self._collected[:MAX_BATCH_WRITES], self._collected[MAX_BATCH_WRITES:]
        futures, loop_thread = [future for _, future in batch], threading.get_ident()

        def resolve(verdicts: Sequence[Verdict | Exception]) -> None:
            if threading.get_ident() == loop_thread:
                _resolve(futures, verdicts)
                return
            # After the end of the loop, no request awaits its verdict.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, futures, verdicts)

        if self._collected:
            # If this batch is at the store by then, the next one waits for its end.
            loop.call_soon(self._submit, loop)
        self._intake.submit([offer for offer, _ in batch], resolve, partial(self._await_response, loop))

    def _await_response(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        timeout_s: float,
        on_response: Callable[[], None],
        on_timeout: Callable[[], None],
    ) -> None:
        def end() -> None:
            self._is_storing = False
            timeout.cancel()
            # The descriptor may have been closed, and be that of another connection now.
            with suppress(RuntimeError, OSError, ValueError):
                loop.remove_reader(descriptor)

        def receive() -> None:
            end()
            try:
                # First, so that the store works while the requests of this batch get their responses.
                self._submit(loop)
            finally:
                on_response()

        def give_up() -> None:
            end()
            try:
                # First, so that no other batch is sent to a store that does not respond.
                on_timeout()
            finally:
                self._submit(loop)

        self._is_storing = True
        timeout = loop.call_later(timeout_s, give_up)
        loop.add_reader(descriptor, receive)


def _resolve(futures: Sequence[_Future], verdicts: Sequence[Verdict | Exception]) -> None:
    for future, verdict in zip(futures, verdicts, strict=True):
        if not future.done():
            future.set_result(verdict)
