# SPDX-License-Identifier: Apache-2.0
"""Offers writes to intake: all that are read in one turn of the event loop at once, for they cost one round trip."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

from bridge.intake import MOST_TOGETHER, Intake
from bridge.outbox import Accepted, Offer, Verdict

_Future = asyncio.Future[Verdict | Exception]


class Together:
    """Collects the offers of a turn."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._collected: list[tuple[Offer, _Future]] = []

    async def accept(self, offer: Offer) -> Accepted:
        """Have a write accepted, or raise what its verdict is."""
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        if not self._collected:
            # In the turn after next: what is ready to be read now is in it, too.
            loop.call_soon(loop.call_soon, self._submit, loop)
        self._collected.append((offer, future))
        verdict = await future
        if isinstance(verdict, Accepted):
            return verdict
        raise verdict

    def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        collected, self._collected = self._collected[:MOST_TOGETHER], self._collected[MOST_TOGETHER:]
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
