# SPDX-License-Identifier: Apache-2.0
"""Identical questions share one call to upstream, and its answer for at most a second; nothing else is shared."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from api.proxy import shared_reads
from api.proxy.answers import BoundedForwarding, FetchedAnswer
from api.proxy.questions import Question
from api.proxy.shared_reads import MAX_AGE_S, SharedReads
from bridge.errors import StoreUnavailable, UpstreamTimeout
from bridge.events import ReadCached
from bridge.outbox.read_marks import ReadMarks
from bridge.upstream.forwarding import ForwardedRequest, ForwardedResponse
from tests.fakes import Events

REQUEST = ForwardedRequest(method="GET", target="/api/2.0/mlflow/runs/get?run_id=r", headers=(), body=None)
RUN, OTHER = Question("run", None), Question("other", None)
SEARCH = Question("search", "ann")
JSON = (("Content-Type", "application/json"),)


class Upstream:
    """Answers each call with its number, when it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.status = 200
        self.headers: tuple[tuple[str, str], ...] = JSON
        self.padding = b""
        self.errors: deque[Exception] = deque()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    can_stream = True

    @asynccontextmanager
    async def forward(self, request: ForwardedRequest) -> AsyncIterator[ForwardedResponse]:  # noqa: ARG002 - the port's
        self.calls += 1
        number = self.calls
        await self.may_answer.wait()
        if self.errors:
            raise self.errors.popleft()
        yield ForwardedResponse(status=self.status, headers=self.headers, body=self._body(number))

    async def _body(self, number: int) -> AsyncIterator[bytes]:
        yield b"%d" % number
        if self.padding:
            yield self.padding

    async def close(self) -> None:
        """Has nothing to close."""


class Marks:
    def __init__(self) -> None:
        self.changes = 0
        self.settled = 0
        self.of: dict[str, int] = {}
        self.is_away = False

    def read(self, client: str | None) -> ReadMarks:
        if self.is_away:
            raise StoreUnavailable("away")
        if client is None:
            return ReadMarks(self.changes)
        return ReadMarks(self.changes, (self.settled,), (self.of.get(client, 0),))

    def note_change(self) -> None:
        self.changes += 1

    def settle(self, client: str) -> None:
        self.settled += 1
        self.of[client] = self.settled


class Sharing:
    """What the tests use: shared reads, all of whose questions have been asked before."""

    def __init__(self) -> None:
        self.upstream, self.marks, self.events = Upstream(), Marks(), Events()
        self.reads = SharedReads(BoundedForwarding(self.upstream), self.marks, self.events)
        self.now = 1000.0

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.time = lambda: self.now  # type: ignore[method-assign]
        for question in (RUN, OTHER, SEARCH):
            await self.ask(question, {})
        self.upstream.calls = 0

    async def ask(self, question: Question | None = RUN, positions: dict[str, int] | None = None) -> FetchedAnswer:
        async with AsyncExitStack() as stack:
            return await self.reads.fetch(REQUEST, question, positions, stack)

    async def asked(self, question: Question | None = RUN, **positions: int) -> bytes:
        return (await self.ask(question, positions)).start or b""

    @property
    def shared(self) -> int:
        return len(self.events.of(ReadCached))


def sharing(test: Callable[[Sharing], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on an event loop whose clock the test moves."""

    async def run() -> None:
        share = Sharing()
        await share.begin()
        await test(share)

    def in_loop() -> None:
        asyncio.run(run())

    in_loop.__name__ = test.__name__
    return in_loop


async def together(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Start all, and let each run until it waits."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


@sharing
async def test_a_question_that_is_asked_for_the_first_time_is_not_shared(share: Sharing) -> None:
    new = Question("new", None)

    assert await share.asked(new) == b"1"
    assert await share.asked(new) == b"2"
    assert await share.asked(new) == b"2"


@sharing
async def test_fifty_that_ask_the_same_at_once_make_one_call(share: Sharing) -> None:
    share.upstream.may_answer.clear()
    tasks = await together(*(share.asked() for _ in range(50)))
    share.upstream.may_answer.set()

    assert await asyncio.gather(*tasks) == [b"1"] * 50
    assert share.shared == 49


@sharing
async def test_an_answer_is_used_again_for_a_second(share: Sharing) -> None:
    assert await share.asked() == b"1"
    share.now += MAX_AGE_S
    again = await share.ask(RUN, {})
    share.now += 0.001

    assert (again.start, again.is_whole) == (b"1", True)
    assert dict(again.response.headers)["Age"] == "1"
    assert await share.asked() == b"2"


@sharing
async def test_the_age_counts_from_the_call_and_not_from_its_answer(share: Sharing) -> None:
    share.upstream.may_answer.clear()
    [first] = await together(share.asked())
    share.now += MAX_AGE_S + 0.1
    [late] = await together(share.asked())
    share.upstream.may_answer.set()

    assert (await first, await late) == (b"1", b"2")


@sharing
async def test_another_question_gets_its_own_answer(share: Sharing) -> None:
    assert await share.asked(RUN) == b"1"
    assert await share.asked(OTHER) == b"2"


@sharing
async def test_a_read_without_a_question_or_positions_is_not_shared(share: Sharing) -> None:
    assert await share.asked(RUN) == b"1"
    assert await share.asked(None) == b"2"
    assert (await share.ask(RUN, None)).start == b"3"


@sharing
async def test_a_reader_that_must_see_a_later_write_gets_a_later_answer(share: Sharing) -> None:
    assert await share.asked(RUN, run=3) == b"1"
    assert await share.asked(RUN, run=4) == b"2"
    assert await share.asked(RUN, run=4) == b"2"
    assert await share.asked(RUN, run=4, alias=1) == b"3"


@sharing
async def test_a_reader_does_not_join_a_call_that_was_made_before_its_write_was_settled(share: Sharing) -> None:
    share.upstream.may_answer.clear()
    [before] = await together(share.asked(RUN, run=3))
    [after] = await together(share.asked(RUN, run=4))
    share.upstream.may_answer.set()

    assert (await before, await after) == (b"1", b"2")


@sharing
async def test_after_a_proxied_change_no_earlier_answer_is_used(share: Sharing) -> None:
    assert await share.asked() == b"1"
    share.marks.note_change()

    assert await share.asked() == b"2"


@sharing
async def test_a_search_shows_what_its_client_wrote_and_may_lack_what_others_wrote(share: Sharing) -> None:
    assert await share.asked(SEARCH) == b"1"
    share.marks.settle("bob")
    assert await share.asked(SEARCH) == b"1"
    assert await share.asked(Question("search", "bob")) == b"2"
    assert await share.asked(Question("search", "bob")) == b"2"
    share.marks.settle("ann")

    assert await share.asked(SEARCH) == b"3"


@sharing
async def test_without_the_store_nothing_is_shared(share: Sharing) -> None:
    assert await share.asked() == b"1"
    share.marks.is_away = True

    assert await share.asked() == b"2"


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 429, 500, 503])
def test_an_error_or_a_denial_is_not_kept(status: int) -> None:
    async def test(share: Sharing) -> None:
        share.upstream.status = status
        assert await share.asked() == b"1"
        assert await share.asked() == b"2"

    sharing(test)()


@pytest.mark.parametrize("header", [("Cache-Control", "no-store"), ("cache-control", "private"), ("Vary", "*")])
def test_what_upstream_wants_nobody_to_keep_is_not_kept(header: tuple[str, str]) -> None:
    async def test(share: Sharing) -> None:
        share.upstream.headers = (*JSON, header)
        assert await share.asked() == b"1"
        assert await share.asked() == b"2"

    sharing(test)()


@sharing
async def test_those_who_wait_for_a_call_that_fails_get_its_error_and_the_next_one_asks_again(share: Sharing) -> None:
    share.upstream.errors.append(UpstreamTimeout("late"))
    share.upstream.may_answer.clear()
    tasks = await together(share.asked(), share.asked())
    share.upstream.may_answer.set()

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [UpstreamTimeout, UpstreamTimeout]
    assert await share.asked() == b"2"


@sharing
async def test_a_client_that_leaves_does_not_fail_the_others(share: Sharing) -> None:
    share.upstream.may_answer.clear()
    first, second, third = await together(share.asked(), share.asked(), share.asked())
    first.cancel()
    await together()
    third.cancel()
    share.upstream.may_answer.set()

    assert await second == b"2"
    assert first.cancelled()
    assert share.upstream.calls == 2


@sharing
async def test_a_long_answer_is_streamed_to_each_reader_and_not_kept(share: Sharing) -> None:
    share.upstream.padding = b"x" * shared_reads._MAX_ANSWER_BYTES  # noqa: SLF001
    share.upstream.may_answer.clear()
    tasks = await together(share.ask(RUN, {}), share.ask(RUN, {}))
    share.upstream.may_answer.set()

    first, second = await asyncio.gather(*tasks)
    third = await share.ask(RUN, {})
    assert not any(fetched.is_whole for fetched in (first, second, third))
    assert share.upstream.calls == 3
    assert share.reads._size == 0  # noqa: SLF001


@sharing
async def test_the_bytes_that_are_kept_are_bounded(share: Sharing) -> None:
    share.upstream.padding = b"x" * (shared_reads._MAX_ANSWER_BYTES - 10)  # noqa: SLF001
    for number in range(200):
        for _ in range(2):
            await share.ask(Question(number, None), {})

    assert share.reads._size <= shared_reads._MAX_KEPT_BYTES + shared_reads._MAX_ANSWER_BYTES  # noqa: SLF001
    share.now += MAX_AGE_S + 1
    share.upstream.padding = b""
    await share.asked(Question(199, None))
    assert share.reads._size <= 3  # noqa: SLF001
