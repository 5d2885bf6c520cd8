# SPDX-License-Identifier: Apache-2.0
"""Ids and traces: what is read of a client's, stored with a write, and told of it later."""

import msgspec
import pytest

from bridge.redis_store.records import pack_write, unpack_entry
from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext, read_trace, trace_context_of
from tests.factories import RUN, metric

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENTRY_HEAD = b"1234567890123" + b"acceptid"


def stored(trace_context: TraceContext) -> bytes:
    return ENTRY_HEAD + pack_write(metric(1), "a", trace_context)


@pytest.mark.parametrize(
    "request_id", ["0123456789abcdef", "night-1:7", "abc", "0123", "ABCD", "aB", "ab cd", "d" * 128, "e" * 127]
)
def test_whatever_a_requests_id_is_it_comes_back_as_it_was(request_id: str) -> None:
    job = unpack_entry(stored(trace_context_of(request_id, None)), lane=RUN, position=1)

    assert job.trace_context.request_id == request_id


def test_an_id_of_ours_costs_the_store_less_than_it_is_long() -> None:
    before = len(msgspec.msgpack.encode(msgspec.msgpack.decode(pack_write(metric(1), "a"))[:-1]))

    assert len(pack_write(metric(1), "a", trace_context_of("0123456789abcdef", None))) - before <= 16


def test_a_write_that_an_older_bridge_has_stored_has_no_trail() -> None:
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(pack_write(metric(1), "a"))[:-1])

    job = unpack_entry(ENTRY_HEAD + older, lane=RUN, position=1)

    assert (job.trace_context, job.trace_context.request_id) == (NO_TRACE_CONTEXT, None)
    assert job.write == metric(1)


@pytest.mark.parametrize("state", ["", "vendor=1,other=x", "1tenant@vendor=a b,c=" + "d" * 255])
def test_a_trace_goes_through_the_store_word_for_word(state: str) -> None:
    trace = read_trace(PARENT, state)

    found = unpack_entry(stored(trace_context_of("r", trace)), lane=RUN, position=1).trace_context.trace

    assert found
    assert dict(found.headers) == {"traceparent": PARENT} | ({"tracestate": state} if state else {})


def test_spaces_around_a_states_members_are_not_passed_on() -> None:
    trace = read_trace(PARENT, " v=1 ,, w=2\t")

    assert trace
    assert trace.state == "v=1,w=2"


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT + " ",
        PARENT + "\n",
        PARENT + "-more",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + PARENT[52:],
        PARENT[:-1],
        PARENT.replace("-", "_"),
        "01" + PARENT[2:] + "more",
    ],
)
def test_what_is_no_place_in_a_trace_is_as_if_nothing_was_sent(traceparent: str) -> None:
    assert read_trace(traceparent, "vendor=1") is None


def test_of_a_version_to_come_is_read_what_it_shares_with_this_one() -> None:
    trace = read_trace("01" + PARENT[2:] + "-more")

    assert trace
    assert trace.traceparent == PARENT


@pytest.mark.parametrize(
    "state",
    [
        ",".join(f"v{number}=" + "y" * 250 for number in range(3)),
        "line=br\neak",
        "été=1",
        "no member",
        "v=1,v=2",
        "V=1",
        "=1",
        ",".join(f"v{number}=1" for number in range(33)),
    ],
)
def test_a_state_that_can_not_be_passed_on_is_dropped_and_the_trace_kept(state: str) -> None:
    trace = read_trace(PARENT, state)

    assert trace
    assert trace.headers == (("traceparent", PARENT),)
