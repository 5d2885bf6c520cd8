# SPDX-License-Identifier: Apache-2.0
"""Takes writes in: each is durable in the outbox before its client hears of it.

Writes that arrive together are accepted together, in one round trip and one sync to disk: the more arrive, the less
each costs. While the store answers at once the caller waits for it, which is the fastest there is. When it does not, a
thread goes on, so that whoever calls from an event loop is free for everything else.
"""

import queue
import time
from collections.abc import Callable, Iterator, Sequence

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import Observer
from bridge.outbox import Accepted, Offer, Outbox, Verdict
from bridge.process.background import BackgroundThread

#: The most that one round trip carries: the first should not wait long for the last.
MOST_TOGETHER = 128

#: The same for writes that came in one request, whose client waits for all of them anyway.
_MOST_OF_ONE_REQUEST = 256

#: More bytes than this take the store longer than an event loop may wait, or a small write's client.
LONG_WRITES = 256 * 1024

#: A store that has answered within so many seconds is prompt again.
_PROMPT = 0.05

#: Told the verdicts, or the defect that prevented them, in the order of the offers.
Tell = Callable[[Sequence[Verdict | Exception]], None]


class Intake:
    """The write path."""

    def __init__(
        self,
        *,
        fast_outbox: Outbox,
        outbox: Outbox,
        bulk_outbox: Outbox,
        dispatch: Dispatch,
        observe: Observer | None = None,
    ) -> None:
        """All three are the same outbox. The first gives up on the store after a moment, the last waits longest."""
        self._fast_outbox = fast_outbox
        self._outbox = outbox
        self._bulk_outbox = bulk_outbox
        self._dispatch = dispatch
        self._is_prompt = True
        #: Offers, whether they were offered before, and whom to tell.
        self._waiting: queue.SimpleQueue[tuple[Sequence[Offer], bool, Tell]] = queue.SimpleQueue()
        self._thread = BackgroundThread("intake", self._accept_waiting, observe=observe)

    def accept(self, offers: Sequence[Offer]) -> Iterator[Verdict | Exception]:
        """Yield what came of each write, in round trips of many. The first goes alone: it may decide about the rest.

        After a round trip in which one was declined no more are offered: they would come before it when it comes again.
        """
        begin, count = 0, 1
        while begin < len(offers):
            together = offers[begin : begin + count]
            outbox = self._bulk_outbox if _are_long(together) else self._outbox
            verdicts = self._accept(outbox, together, repeated=False)
            yield from verdicts
            if not all(isinstance(verdict, Accepted) for verdict in verdicts):
                return
            begin, count = begin + count, _MOST_OF_ONE_REQUEST

    def submit(self, offers: Sequence[Offer], tell: Tell) -> None:
        """Have up to ``MOST_TOGETHER`` writes accepted and the verdicts told, now or, by a thread, a little later."""
        tried = self._is_prompt
        if tried:
            verdicts = self._accept(self._fast_outbox, offers, repeated=False)
            if not _store_failed(verdicts):
                tell(verdicts)
                return
            self._is_prompt = False
        self._waiting.put((offers, tried, tell))
        self._thread.start()

    def _accept_waiting(self) -> None:
        offers, tried, tell = self._waiting.get()
        began = time.monotonic()
        verdicts = self._accept(self._outbox, offers, repeated=tried)
        tell(verdicts)
        if _store_failed(verdicts):
            self._fail_waiting(verdicts[0])
        else:
            self._is_prompt = time.monotonic() - began < _PROMPT

    def _fail_waiting(self, verdict: Verdict | Exception) -> None:
        """Tell those who have waited meanwhile: they must not wait for one timeout after the other."""
        for _ in range(self._waiting.qsize()):
            offers, _, tell = self._waiting.get()
            tell([verdict] * len(offers))

    def _accept(self, outbox: Outbox, offers: Sequence[Offer], *, repeated: bool) -> Sequence[Verdict | Exception]:
        """Return what came of each offer. Workers are told of lanes that were idle; the others are known to them."""
        try:
            verdicts = outbox.accept_all(offers, repeated=repeated)
        except Exception as error:  # noqa: BLE001 - a defect must not end the thread, and its clients must be told
            return [error for _ in offers]
        for offer, verdict in zip(offers, verdicts, strict=True):
            if isinstance(verdict, Accepted) and verdict.was_idle:
                self._dispatch.lane_due(verdict.lane, offer.client)
        return verdicts


def _are_long(offers: Sequence[Offer]) -> bool:
    return sum(offer.write.size for offer in offers) > LONG_WRITES


def _store_failed(verdicts: Sequence[Verdict | Exception]) -> bool:
    return all(isinstance(verdict, StoreUnavailable) for verdict in verdicts)
