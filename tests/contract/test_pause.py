# SPDX-License-Identifier: Apache-2.0
"""A pause of deliveries, in each store."""

import datetime as dt
from typing import Any

from bridge.redis_store import keys
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.outbox import RedisOutbox
from bridge.upstream import Delivered, Unavailable
from bridge.upstream.flow_control import Permit, Withheld
from tests.factories import RUN, accept_one, metric
from tests.servers import wait_until

LEASE = dt.timedelta(seconds=30)
SECOND = dt.timedelta(seconds=1)


def flow_control(client: Any, upstream: str = "http://upstream") -> RedisFlowControl:
    return RedisFlowControl(client, upstream, rate=20, burst=40, probe=dt.timedelta(seconds=30))


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_a_pause_holds_the_deliveries_of_every_worker_and_no_other_call(client: Any) -> None:
    one, other = flow_control(client), flow_control(client)
    one.pause(why="MLflow is upgraded", by="anna", until=None)

    held, denied, lookup = other.acquire(), other.acquire(denied=True), other.acquire(delivers=False)
    elsewhere = flow_control(client, "http://other").acquire()

    assert isinstance(held, Withheld)
    assert (held.by_pause, held.after) == (True, dt.timedelta())
    assert isinstance(denied, Withheld)
    assert denied.by_pause
    assert isinstance(lookup, Permit)
    assert isinstance(elsewhere, Permit)
    assert other.is_paused()


def test_a_pause_says_why_since_when_until_when_and_by_whom(client: Any) -> None:
    until = now() + dt.timedelta(hours=1)
    flow_control(client).pause(why="MLflow is upgraded: 3.17 → 3.18", by="anna", until=until)

    state = flow_control(client).state()

    assert state.paused
    assert (state.paused.why, state.paused.by) == ("MLflow is upgraded: 3.17 → 3.18", "anna")
    assert abs(state.paused.since - now()) < dt.timedelta(seconds=30)
    assert state.paused.until
    assert abs(state.paused.until - until) < dt.timedelta(milliseconds=2)
    assert (state.breaker, state.permits_calls) == ("closed", False)
    assert (state.burst, state.rate, state.bucket) == (40, 20, 40)


def test_a_second_order_replaces_the_first_and_keeps_its_beginning(client: Any) -> None:
    upstream = flow_control(client)
    upstream.pause(why="first", by="anna", until=None)
    key = keys.flow_control("http://upstream")
    began = int(client.hget(key, "paused_since")) - 60_000
    client.hset(key, "paused_since", began)

    upstream.pause(why="second", by="ben", until=now() + dt.timedelta(hours=1))

    paused = upstream.state().paused
    assert paused
    assert (paused.why, paused.by, round(paused.since.timestamp() * 1000)) == ("second", "ben", began)


def test_a_pause_ends_by_itself(client: Any) -> None:
    upstream = flow_control(client)
    upstream.pause(why="a moment", by="anna", until=now() + SECOND / 2)
    held = upstream.acquire()

    wait_until(lambda: isinstance(upstream.acquire(), Permit))

    assert isinstance(held, Withheld)
    assert upstream.state().paused is None
    assert not upstream.is_paused()


def test_a_pause_after_one_that_has_ended_begins_again(client: Any) -> None:
    upstream = flow_control(client)
    upstream.pause(why="long ago", by="anna", until=now() - SECOND)
    client.hset(keys.flow_control("http://upstream"), "paused_since", 1)

    upstream.pause(why="now", by="anna", until=None)

    paused = upstream.state().paused
    assert paused
    assert now() - paused.since < dt.timedelta(seconds=30)


def test_after_it_is_resumed_calls_go_and_nothing_of_the_pause_is_left(client: Any) -> None:
    upstream = flow_control(client)
    upstream.pause(why="a moment", by="anna", until=None)
    upstream.resume()
    upstream.resume()

    assert isinstance(upstream.acquire(), Permit)
    assert upstream.state().paused is None
    assert not any(field.startswith(b"paused") for field in client.hgetall(keys.flow_control("http://upstream")))


def test_a_pause_leaves_the_breaker_as_it_is(client: Any) -> None:
    upstream = flow_control(client)
    upstream.pause(why="a moment", by="anna", until=None)
    upstream.record(Unavailable(reason="down", identity_failed=True))
    while_paused = upstream.state()
    upstream.resume()

    after = upstream.acquire()

    assert (while_paused.breaker, while_paused.reason) == ("open", "down")
    assert isinstance(after, Withheld)
    assert (after.by_pause, after.reason) == (False, "down")


def test_since_when_the_breaker_is_open_is_kept_until_it_closes(client: Any) -> None:
    upstream, key = flow_control(client), keys.flow_control("http://upstream")
    upstream.record(Unavailable(reason="down", identity_failed=True))
    first = upstream.state()
    assert first.since
    # As if the time had passed.
    client.hset(key, mapping={"until": 1, "opened": 1_700_000_000_000})
    upstream.record(Unavailable(reason="still down"))
    again = upstream.state()
    client.hset(key, "until", 1)
    upstream.record(Delivered(status=200))

    assert now() - first.since < dt.timedelta(seconds=30)
    assert again.since == dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)
    assert (first.trips, again.trips) == (1, 2)
    closed = upstream.state()
    assert (closed.breaker, closed.since, closed.trips) == ("closed", None, 0)


def test_a_pause_that_upstream_asks_for_says_since_when(client: Any) -> None:
    upstream = flow_control(client)
    for _ in range(2):
        upstream.record(Unavailable(reason="throttled", throttled=True, retry_after=dt.timedelta(seconds=7)))

    since = upstream.state().since

    assert since
    assert now() - since < dt.timedelta(seconds=30)


def test_a_lane_that_a_pause_releases_is_due_at_once_and_has_no_failed_attempt(
    client: Any, outbox: RedisOutbox
) -> None:
    upstream = flow_control(client)
    upstream.pause(why="a moment", by="anna", until=None)
    accept_one(outbox, metric(1), client="a")
    for _ in range(20):
        claim = outbox.claim(RUN, lease=LEASE)
        assert claim
        held = upstream.acquire()
        assert isinstance(held, Withheld)
        outbox.release(claim, after=held.after, reason=held.reason)

    waiting = outbox.lane_backlog(RUN)
    again = outbox.claim(RUN, lease=LEASE)

    assert (waiting.pending, waiting.attempts) == (1, 0)
    assert waiting.error
    assert waiting.error.message == "deliveries are paused by an operator"
    assert again
    assert (again.attempts, again.claims) == (0, 1)
