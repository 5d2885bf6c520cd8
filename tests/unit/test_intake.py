# SPDX-License-Identifier: Apache-2.0
"""Writes are accepted on the spot while the store is prompt, and by a thread while it is not."""

import datetime as dt
import queue
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from bridge.errors import StoreUnavailable
from bridge.outbox import Accepted, Offer, Outbox, SentOffers, Verdict
from bridge.outbox.intake import LONG_WRITES_BYTES, Intake
from schemas.write import Op, Write
from tests.factories import RUN, metric
from tests.fakes import FakeDispatch, respond_at_once

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Store:
    """An outbox that accepts, unless it is down, and remembers what it was asked."""

    def __init__(self, *, up: bool = True) -> None:
        self.up = up
        self.asked: list[tuple[int, bool]] = []
        self.asking = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        self.asked.append((len(offers), repeated))
        self.asking.set()
        assert self.may_answer.wait(10)
        if not self.up:
            return [StoreUnavailable("down") for _ in offers]
        return [
            Accepted(
                job_id=f"job-{number}", lane=offer.write.lane, position=number, accepted_at=NOW, was_idle=number == 0
            )
            for number, offer in enumerate(offers)
        ]

    def send(self, offers: Sequence[Offer]) -> SentOffers:
        return SentToStore(self, offers)


class SentToStore:
    """Offers that the store decides on once it is asked for its verdicts."""

    def __init__(self, store: Store, offers: Sequence[Offer]) -> None:
        self.descriptor: int | None = 0
        self.timeout_s = 1.0
        self.is_abandoned = False
        self._store, self._offers = store, offers

    def verdicts(self) -> list[Verdict]:
        return self._store.accept_all(self._offers)

    def abandon(self) -> None:
        self.is_abandoned = True


def intake_over(
    fast_outbox: Store, outbox: Store, dispatch: FakeDispatch | None = None, *, bulk_outbox: Store | None = None
) -> Intake:
    return Intake(
        fast_outbox=cast("Outbox", fast_outbox),
        outbox=cast("Outbox", outbox),
        bulk_outbox=cast("Outbox", bulk_outbox or Store()),
        dispatch=dispatch or FakeDispatch(),
    )


def offers(count: int) -> list[Offer]:
    return [Offer(write=metric(step), client="a") for step in range(count)]


def verdict_queue() -> tuple["queue.SimpleQueue[Any]", Any]:
    verdicts: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return verdicts, verdicts.put


def test_a_prompt_store_is_waited_for_and_workers_hear_of_idle_lanes_only() -> None:
    fast_outbox, outbox, dispatch = Store(), Store(), FakeDispatch()
    verdicts, callback = verdict_queue()

    intake_over(fast_outbox, outbox, dispatch).submit(offers(3), callback, respond_at_once)

    assert [verdict.job_id for verdict in verdicts.get_nowait()] == ["job-0", "job-1", "job-2"]
    assert dispatch.lanes == [RUN]
    assert (fast_outbox.asked, outbox.asked) == ([(3, False)], [])


def test_what_a_store_does_not_answer_at_once_is_offered_again_as_a_repeat() -> None:
    fast_outbox, outbox = Store(up=False), Store()
    verdicts, callback = verdict_queue()
    intake = intake_over(fast_outbox, outbox)

    intake.submit(offers(2), callback, respond_at_once)

    assert all(isinstance(verdict, Accepted) for verdict in verdicts.get(timeout=10))
    assert outbox.asked == [(2, True)]


def test_the_store_is_trusted_to_be_prompt_again_once_it_has_answered() -> None:
    fast_outbox, outbox = Store(up=False), Store()
    verdicts, callback = verdict_queue()
    intake = intake_over(fast_outbox, outbox)
    intake.submit(offers(1), callback, respond_at_once)
    verdicts.get(timeout=10)
    fast_outbox.up = True

    # The thread says so a moment after it has told the verdicts.
    while not any(asked == (7, False) for asked in fast_outbox.asked):
        intake.submit(offers(7), callback, respond_at_once)
        verdicts.get(timeout=10)

    assert len(fast_outbox.asked) >= 2


def test_whoever_waits_for_a_store_that_is_down_is_told_with_the_first() -> None:
    fast_outbox, outbox = Store(up=False), Store(up=False)
    outbox.may_answer.clear()
    verdicts, callback = verdict_queue()
    intake = intake_over(fast_outbox, outbox)
    intake.submit(offers(1), callback, respond_at_once)
    assert outbox.asking.wait(10)
    for _ in range(5):
        intake.submit(offers(2), callback, respond_at_once)

    outbox.may_answer.set()

    found = [verdicts.get(timeout=10) for _ in range(6)]
    assert [len(group) for group in found] == [1, 2, 2, 2, 2, 2]
    assert all(isinstance(verdict, StoreUnavailable) for group in found for verdict in group)
    assert outbox.asked == [(1, True)]


def test_a_defect_is_told_and_ends_nothing() -> None:
    class Broken(Store):
        def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
            raise ZeroDivisionError(f"{len(offers)} {repeated}")

    verdicts, callback = verdict_queue()
    intake = intake_over(Broken(), Store())

    intake.submit(offers(1), callback, respond_at_once)
    intake.submit(offers(1), callback, respond_at_once)

    assert isinstance(verdicts.get_nowait()[0], ZeroDivisionError)
    assert isinstance(verdicts.get_nowait()[0], ZeroDivisionError)


@pytest.mark.parametrize(
    ("lengths", "is_lenient"), [((9,), False), ((LONG_WRITES_BYTES + 1,), True), ((9, 200_000, 90_000), True)]
)
def test_writes_that_are_long_together_are_given_more_time(lengths: tuple[int, ...], is_lenient: bool) -> None:  # noqa: FBT001 - pytest's parameter
    outbox, bulk_outbox = Store(), Store()
    writes = [Write(op=Op.LOG_INPUTS, lane=RUN, single_body=b"x" * length) for length in lengths]
    longs = [Offer(write=write, client="a") for write in writes]

    verdicts = list(intake_over(Store(), outbox, bulk_outbox=bulk_outbox).accept(longs))

    assert len(verdicts) == len(longs)
    assert (len(bulk_outbox.asked) > 0) == is_lenient
    # The first goes alone, and only a long one takes the way of the long ones.
    assert [count for count, _ in outbox.asked] == ([] if lengths[0] > LONG_WRITES_BYTES else [1])
