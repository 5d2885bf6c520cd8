# SPDX-License-Identifier: Apache-2.0
"""A body that is sent on while it comes in never looks whole before it is, however it is cut into pieces."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import RequestIncomplete
from bridge.upstream.forwarding import StreamedBody

PIECES = st.lists(st.binary(min_size=1, max_size=5), max_size=8)


async def coming(pieces: Sequence[bytes], failure: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if failure:
        raise failure


async def sent(upload: StreamedBody) -> tuple[list[bytes], Exception | None]:
    """What is handed out, and what ends it."""
    seen: list[bytes] = []
    try:
        async for piece in upload:
            seen.append(piece)
            assert len(b"".join(seen)) < upload.length or upload.is_complete
    except RequestIncomplete as error:
        return seen, error
    return seen, None


@given(PIECES)
def test_all_of_it_is_handed_out_in_its_order(pieces: list[bytes]) -> None:
    upload = StreamedBody(len(b"".join(pieces)), coming(pieces))

    assert asyncio.run(sent(upload)) == (pieces, None)
    assert upload.is_complete
    assert upload.failure is None


@given(PIECES)
def test_of_one_that_breaks_off_or_is_not_what_was_signed_the_last_piece_stays_behind(pieces: list[bytes]) -> None:
    failure = RequestIncomplete("gone")
    upload = StreamedBody(len(b"".join(pieces)), coming(pieces, failure))

    assert asyncio.run(sent(upload)) == (pieces[:-1], failure)
    assert not upload.is_complete
    assert upload.failure is failure


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_who_stops_reading_can_wait_until_nothing_is_read_from_the_client(pieces: int) -> None:
    async def stop() -> bool:
        waits, left = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(pieces):
                yield b"x"
            waits.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()

        upload = StreamedBody(100, slow())
        reading = asyncio.ensure_future(sent(upload))
        await waits.wait()
        reading.cancel()
        await upload.wait_until_idle()
        return left.is_set()

    assert asyncio.run(stop())
