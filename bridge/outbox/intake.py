# SPDX-License-Identifier: Apache-2.0
"""Durable acceptance: each write is in the outbox before its client gets a response.

Writes that arrive together are accepted together, in one round trip and one sync to disk: the more arrive, the less
each costs. While the store is prompt, an event loop goes on until its response arrives. When it is slow, a background
thread takes over, which may wait longer.
"""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bridge.dispatch import Dispatch
from bridge.errors import StoreUnavailable
from bridge.events import Observer
from bridge.outbox import Accepted, Offer, Outbox, Verdict
from bridge.process.background import BackgroundThread

#: Writes in one round trip: the first should not wait long for the last.
MAX_BATCH_WRITES = 128

#: The same for writes of one request, which has to wait for all of them.
_MAX_BATCH_WRITES_OF_REQUEST = 1000

#: Larger writes take the store longer than an event loop, or the client of a small write, may wait.
LONG_WRITES_BYTES = 256 * 1024

#: A store that answers within this time is prompt again.
_PROMPT_S = 0.05

#: Receives the verdicts, or the defect that prevented them, in the order of the offers.
VerdictCallback = Callable[[Sequence[Verdict | Exception]], None]

#: Watches a descriptor for some seconds. Calls the first function once it is readable, or the second if it never is.
AwaitResponse = Callable[[int, float, Callable[[], None], Callable[[], None]], None]


class _WaitingOffers(NamedTuple):
    """Offers of one call of `Intake.submit` that wait for the background thread."""

    offers: Sequence[Offer]
    #: They were offered before, and may be stored.
    repeated: bool
    callback: VerdictCallback


class Intake:
    """Accepts writes for the api, and dispatches lanes that were idle."""

    def __init__(
        self,
        *,
        fast_outbox: Outbox,
        outbox: Outbox,
        bulk_outbox: Outbox,
        dispatch: Dispatch,
        observe: Observer | None = None,
    ) -> None:
        """All three are the same outbox; ``fast_outbox`` has the shortest timeout, ``bulk_outbox`` the longest."""
        self._fast_outbox = fast_outbox
        self._outbox = outbox
        self._bulk_outbox = bulk_outbox
        self._dispatch = dispatch
        self._is_store_prompt = True
        self._waiting: queue.SimpleQueue[_WaitingOffers] = queue.SimpleQueue()
        self._thread = BackgroundThread("intake", self._accept_waiting, observe=observe)

    def accept(self, offers: Sequence[Offer]) -> Iterator[Verdict | Exception]:
        """Yield the verdict on each write of one request, in few round trips.

        The first write goes alone: if it is declined, nothing of the request is stored. After a round trip with a
        declined write, no more are offered: they would overtake it when it is offered again.
        """
        begin, count = 0, 1
        while begin < len(offers):
            batch = offers[begin : begin + count]
            outbox = self._bulk_outbox if _are_long(batch) else self._outbox
            verdicts = self._accept(outbox, batch, repeated=False)
            yield from verdicts
            if not all(isinstance(verdict, Accepted) for verdict in verdicts):
                return
            begin, count = begin + count, _MAX_BATCH_WRITES_OF_REQUEST

    def submit(self, offers: Sequence[Offer], callback: VerdictCallback, await_response: AwaitResponse) -> None:
        """Accept up to ``MAX_BATCH_WRITES`` writes, and pass on the verdicts once the store has responded.

        If the store does not respond within the time of ``fast_outbox``, a background thread offers the writes again
        and passes on the verdicts.
        """
        if not self._is_store_prompt:
            self._accept_in_background(_WaitingOffers(offers, repeated=False, callback=callback))
            return
        try:
            sent = self._fast_outbox.send(offers)
        except Exception as error:  # noqa: BLE001 - a defect must not end the event loop, and its clients need a response
            callback([error for _ in offers])
            return

        def take_verdicts() -> None:
            verdicts = self._verdicts(offers, sent.verdicts)
            if _store_failed(verdicts):
                self._repeat_in_background(offers, callback)
            else:
                callback(verdicts)

        def give_up() -> None:
            try:
                sent.abandon()
            finally:
                self._repeat_in_background(offers, callback)

        if sent.descriptor is None:
            take_verdicts()
        else:
            await_response(sent.descriptor, sent.timeout_s, take_verdicts, give_up)

    def _repeat_in_background(self, offers: Sequence[Offer], callback: VerdictCallback) -> None:
        self._is_store_prompt = False
        self._accept_in_background(_WaitingOffers(offers, repeated=True, callback=callback))

    def _accept_in_background(self, waiting: _WaitingOffers) -> None:
        self._waiting.put(waiting)
        self._thread.start()

    def _accept_waiting(self) -> None:
        offers, repeated, callback = self._waiting.get()
        began_at = time.monotonic()
        verdicts = self._accept(self._outbox, offers, repeated=repeated)
        callback(verdicts)
        if _store_failed(verdicts):
            self._fail_waiting(verdicts[0])
        else:
            self._is_store_prompt = time.monotonic() - began_at < _PROMPT_S

    def _fail_waiting(self, verdict: Verdict | Exception) -> None:
        """Fail all waiting offers with the same verdict: they must not wait for one timeout after the other."""
        for _ in range(self._waiting.qsize()):
            waiting = self._waiting.get()
            waiting.callback([verdict] * len(waiting.offers))

    def _accept(self, outbox: Outbox, offers: Sequence[Offer], *, repeated: bool) -> Sequence[Verdict | Exception]:
        """Return the verdict on each offer. ``repeated`` offers were offered before, and may be stored."""
        return self._verdicts(offers, lambda: outbox.accept_all(offers, repeated=repeated))

    def _verdicts(
        self, offers: Sequence[Offer], accept: Callable[[], Sequence[Verdict]]
    ) -> Sequence[Verdict | Exception]:
        """Return the verdict on each offer. Only lanes that were idle are dispatched: workers know the others."""
        try:
            verdicts = accept()
        except Exception as error:  # noqa: BLE001 - a defect must not end the thread, and its clients need a response
            return [error for _ in offers]
        for offer, verdict in zip(offers, verdicts, strict=True):
            if isinstance(verdict, Accepted) and verdict.was_idle:
                self._dispatch.lane_due(verdict.lane, offer.client)
        return verdicts


def _are_long(offers: Sequence[Offer]) -> bool:
    return sum(offer.write.size for offer in offers) > LONG_WRITES_BYTES


def _store_failed(verdicts: Sequence[Verdict | Exception]) -> bool:
    return all(isinstance(verdict, StoreUnavailable) for verdict in verdicts)
