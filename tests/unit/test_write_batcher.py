# SPDX-License-Identifier: Apache-2.0
"""The event loop goes on while a batch is at the store; what arrives meanwhile is the next batch."""

import asyncio
import datetime as dt
import functools
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, cast

import pytest

from api.intake.batching import WriteBatcher
from bridge.outbox import Accepted, Offer, Outbox, Verdict
from bridge.outbox.intake import MAX_BATCH_WRITES, Intake
from tests.factories import metric
from tests.fakes import FakeDispatch

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def on_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


class SentToStore:
    """Offers that the store accepts once the test lets it respond."""

    def __init__(self, offers: Sequence[Offer], timeout_s: float) -> None:
        self._socket, self._of_store = socket.socketpair()
        self.descriptor: int | None = self._socket.fileno()
        self.timeout_s = timeout_s
        self.offers = offers
        self.abandoned = asyncio.Event()

    def respond(self) -> None:
        self._of_store.send(b"+")

    def verdicts(self) -> list[Verdict]:
        return accepted(self.offers)

    def abandon(self) -> None:
        self.abandoned.set()

    def close(self) -> None:
        self._socket.close()
        self._of_store.close()


class Store:
    """Remembers what was sent to it, and what was offered to it as a repeat."""

    def __init__(self) -> None:
        self.timeout_s = 30.0
        self.sent: list[SentToStore] = []
        #: Offers that did not go through `send`, and whether they had before.
        self.offered: list[tuple[Offer, bool]] = []
        #: Whether it accepts such offers now.
        self.is_available = threading.Event()
        self.is_available.set()

    def send(self, offers: Sequence[Offer]) -> SentToStore:
        self.sent.append(SentToStore(offers, self.timeout_s))
        return self.sent[-1]

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        assert self.is_available.wait(10)
        self.offered += [(offer, repeated) for offer in offers]
        return accepted(offers)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    for sent in store.sent:
        sent.close()


@pytest.fixture
def batcher(store: Store) -> WriteBatcher:
    outbox = cast("Outbox", store)
    return WriteBatcher(Intake(fast_outbox=outbox, outbox=outbox, bulk_outbox=outbox, dispatch=FakeDispatch()))


def accepted(offers: Sequence[Offer]) -> list[Verdict]:
    return [
        Accepted(job_id=str(offer.accept_id), lane=offer.write.lane, position=1, accepted_at=NOW, was_idle=False)
        for offer in offers
    ]


def offers(count: int) -> list[Offer]:
    return [Offer(write=metric(step), client="a") for step in range(count)]


async def turns() -> None:
    """Let the loop run everything that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


@on_event_loop
async def test_writes_that_arrive_while_a_batch_is_at_the_store_are_the_next_batch(
    store: Store, batcher: WriteBatcher
) -> None:
    first, later = offers(2), offers(3)
    requests = [asyncio.create_task(batcher.accept(offer)) for offer in first]
    await turns()
    for offer in later:
        requests.append(asyncio.create_task(batcher.accept(offer)))
        await turns()
    sent_before_response = [sent.offers for sent in store.sent]

    store.sent[0].respond()
    await asyncio.gather(*requests[:2])
    store.sent[1].respond()
    verdicts = await asyncio.gather(*requests)

    assert sent_before_response == [first]
    assert [sent.offers for sent in store.sent] == [first, later]
    assert [verdict.job_id for verdict in verdicts] == [str(offer.accept_id) for offer in first + later]


@on_event_loop
async def test_a_batch_has_an_upper_limit_and_the_rest_follows(store: Store, batcher: WriteBatcher) -> None:
    all_offers = offers(MAX_BATCH_WRITES + 1)
    requests = [asyncio.create_task(batcher.accept(offer)) for offer in all_offers]
    await turns()

    store.sent[0].respond()
    await asyncio.gather(*requests[:MAX_BATCH_WRITES])
    store.sent[1].respond()
    await asyncio.gather(*requests)

    assert [len(sent.offers) for sent in store.sent] == [MAX_BATCH_WRITES, 1]


@on_event_loop
async def test_a_batch_without_a_response_in_time_is_offered_again_in_a_thread(
    store: Store, batcher: WriteBatcher
) -> None:
    store.timeout_s = 0.01
    [offer] = offers(1)

    verdict = await batcher.accept(offer)

    assert isinstance(verdict, Accepted)
    assert store.sent[0].abandoned.is_set()
    assert store.offered == [(offer, True)]


@on_event_loop
async def test_a_connection_that_can_not_be_closed_leaves_no_request_without_a_response(
    store: Store, batcher: WriteBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SentToStore) -> None:
        raise OSError("closed already")

    monkeypatch.setattr(SentToStore, "abandon", fail)
    store.timeout_s = 0.01

    assert isinstance(await asyncio.wait_for(batcher.accept(offers(1)[0]), 10), Accepted)


@on_event_loop
async def test_after_a_timeout_no_other_batch_is_sent_to_the_store(store: Store, batcher: WriteBatcher) -> None:
    store.timeout_s = 0.05
    # Once it has accepted what was repeated, it is trusted again.
    store.is_available.clear()
    first, *later = offers(MAX_BATCH_WRITES + 3)
    requests = [asyncio.create_task(batcher.accept(first))]
    await turns()
    requests += [asyncio.create_task(batcher.accept(offer)) for offer in later]
    await asyncio.wait_for(store.sent[0].abandoned.wait(), 10)
    await turns()
    store.is_available.set()

    verdicts = await asyncio.gather(*requests)

    assert len(verdicts) == MAX_BATCH_WRITES + 3
    assert [sent.offers for sent in store.sent] == [[first]]
    assert store.offered == [(first, True), *((offer, False) for offer in later)]


@on_event_loop
async def test_a_cancelled_request_stops_no_other(store: Store, batcher: WriteBatcher) -> None:
    requests = [asyncio.create_task(batcher.accept(offer)) for offer in offers(2)]
    await turns()
    requests[0].cancel()

    store.sent[0].respond()

    assert isinstance(await requests[1], Accepted)
    assert requests[0].cancelled() or await asyncio.wait(requests[:1])


@on_event_loop
async def test_a_defect_of_the_store_reaches_the_request(
    store: Store, batcher: WriteBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Sequence[Offer]) -> SentToStore:
        raise ZeroDivisionError

    monkeypatch.setattr(store, "send", fail)

    with pytest.raises(ZeroDivisionError):
        await batcher.accept(offers(1)[0])
