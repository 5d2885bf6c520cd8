# SPDX-License-Identifier: Apache-2.0
"""What `bridge.upstream.flow_control` promises."""

import datetime as dt
from typing import Any

import pytest

from bridge.redis_store import keys
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Permit, Withheld
from tests.servers import wait_until

PROBE = dt.timedelta(seconds=30)
UP = Delivered(status=200)
DOWN = Unavailable(reason="down")
DENIED = Denied(reason="AWS denies it", action="LogInputs", status=403, identified=True)


def flow_control(
    client: Any, *, rate: float | None = None, burst: int = 1, probe: dt.timedelta = PROBE
) -> RedisFlowControl:
    return RedisFlowControl(client, "http://upstream", rate=rate, burst=burst, probe=probe)


def seconds(decision: object) -> float:
    assert isinstance(decision, Permit)
    return decision.wait.total_seconds()


def test_without_a_limit_every_call_goes_at_once(client: Any) -> None:
    assert [seconds(flow_control(client).acquire()) for _ in range(100)] == [0.0] * 100


def test_calls_are_spaced_after_a_burst_and_workers_share_the_bucket(client: Any) -> None:
    workers = [flow_control(client, rate=10, burst=3) for _ in range(2)]

    waits = [seconds(workers[number % 2].acquire()) for number in range(8)]

    assert waits[:3] == [0.0] * 3
    assert waits[3:] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5], abs=0.08)


def test_who_would_wait_for_too_long_is_told_to_come_again(client: Any) -> None:
    slow = flow_control(client, rate=1)
    decisions = [slow.acquire() for _ in range(4)]

    assert [isinstance(decision, Withheld) for decision in decisions] == [False, False, True, True]
    shut = decisions[-1]
    assert isinstance(shut, Withheld)
    assert shut.after > dt.timedelta(seconds=1)


def test_throttling_makes_the_bucket_smaller_and_answers_let_it_recover(client: Any) -> None:
    throttled = flow_control(client, rate=20)
    throttled.record(Unavailable(reason="throttled", throttled=True))
    throttled.record(Unavailable(reason="throttled", throttled=True))
    smaller = throttled.state().rate
    for _ in range(10):
        throttled.record(UP)
    recovering = throttled.state().rate
    for _ in range(100):
        throttled.record(UP)

    assert smaller == pytest.approx(14)
    assert recovering == pytest.approx(16)
    assert throttled.state().rate == 20


def test_a_retry_after_holds_every_worker(client: Any) -> None:
    told, other = flow_control(client, rate=20), flow_control(client, rate=20)
    told.record(Unavailable(reason="throttled", throttled=True, retry_after=dt.timedelta(seconds=7)))

    held = other.acquire()

    assert isinstance(held, Withheld)
    assert dt.timedelta(seconds=6) < held.after <= dt.timedelta(seconds=7)


@pytest.mark.parametrize("outcome", [DOWN, Unknown(reason="no answer")], ids=["unavailable", "unknown"])
def test_failures_in_a_row_open_the_breaker_for_all(client: Any, outcome: Outcome) -> None:
    one, other = flow_control(client), flow_control(client)
    for _ in range(4):
        one.record(outcome)
    still = other.acquire()
    one.record(outcome)

    shut = other.acquire()

    assert isinstance(still, Permit)
    assert isinstance(shut, Withheld)
    assert other.state().breaker == "open"


@pytest.mark.parametrize(
    "outcome", [UP, Refused(status=400, error_code="X", message="no")], ids=["delivered", "refused"]
)
def test_an_answer_between_failures_keeps_the_breaker_closed(client: Any, outcome: Outcome) -> None:
    upstream = flow_control(client)
    for _ in range(10):
        for _ in range(4):
            upstream.record(DOWN)
        upstream.record(outcome)

    assert upstream.state().breaker == "closed"


def test_trouble_with_our_credentials_opens_the_breaker_at_once_and_says_so(client: Any) -> None:
    flow_control(client).record(
        Unavailable(reason="AWS refuses the bridge's credentials: ExpiredToken", identity_failed=True)
    )

    state = flow_control(client).state()

    assert (state.breaker, state.reason) == ("open", "AWS refuses the bridge's credentials: ExpiredToken")
    assert state.opens_again_at


def opened(client: Any) -> RedisFlowControl:
    """A gate whose breaker was opened and lets a probe through now."""
    upstream = flow_control(client, probe=dt.timedelta(seconds=1))
    upstream.record(Unavailable(reason="down", identity_failed=True))
    assert isinstance(upstream.acquire(), Withheld)
    wait_until(lambda: upstream.state().breaker == "half-open")
    return upstream


def test_one_probe_goes_and_its_success_closes_the_breaker(client: Any) -> None:
    upstream = opened(client)

    probe, next_one = upstream.acquire(), upstream.acquire()
    half_open = upstream.state().breaker
    upstream.record(UP)

    assert isinstance(probe, Permit)
    assert isinstance(next_one, Withheld)
    assert half_open == "half-open"
    assert upstream.state().breaker == "closed"
    assert isinstance(upstream.acquire(), Permit)


def test_a_probe_that_fails_opens_the_breaker_for_longer(client: Any) -> None:
    upstream = opened(client)
    upstream.acquire()

    upstream.record(DOWN)

    shut = upstream.acquire()
    assert isinstance(shut, Withheld)
    assert shut.after >= dt.timedelta(milliseconds=900)


def test_a_probe_that_is_never_heard_of_again_is_replaced(client: Any) -> None:
    upstream = opened(client)
    upstream.acquire()

    wait_until(lambda: isinstance(upstream.acquire(), Permit))


def test_upstreams_do_not_share_a_gate(client: Any) -> None:
    flow_control(client).record(Unavailable(reason="down", identity_failed=True))

    assert RedisFlowControl(client, "http://other", rate=None, burst=1, probe=PROBE).state().breaker == "closed"


def test_a_retry_after_holds_although_a_call_that_was_on_its_way_gets_through(client: Any) -> None:
    told, other = flow_control(client, rate=20), flow_control(client, rate=20)
    told.record(Unavailable(reason="throttled", throttled=True, retry_after=dt.timedelta(seconds=7)))

    other.record(UP)
    held = other.acquire()

    assert isinstance(held, Withheld)
    assert held.after > dt.timedelta(seconds=6)


def test_it_is_known_whether_anything_was_delivered_since_a_moment(client: Any) -> None:
    watched = flow_control(client)
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    nothing_yet = watched.delivered_since(before)
    watched.record(Refused(status=400, error_code="", message=""))
    watched.record(DOWN)
    only_refused = watched.delivered_since(before)
    flow_control(client).record(UP)

    assert (nothing_yet, only_refused) == (False, False)
    assert watched.delivered_since(before)
    assert not watched.delivered_since(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1))


@pytest.mark.parametrize(
    "missing",
    [
        Unavailable(reason="status 404", missing=True),
        Denied(reason="a gateway denies it", action="LogInputs", status=403),
    ],
    ids=["not known to upstream", "denied by a gateway"],
)
def test_a_call_that_upstream_does_not_know_says_nothing_and_leaves_the_finding_out_to_others(
    client: Any, missing: Outcome
) -> None:
    unknown = flow_control(client)
    for _ in range(20):
        unknown.record(missing)
    before = unknown.state().breaker
    for _ in range(5):
        unknown.record(DOWN)
    wait_until(lambda: unknown.state().breaker == "half-open")
    first = unknown.acquire()
    second = unknown.acquire()
    unknown.record(missing)
    after = unknown.acquire()

    assert before == "closed"
    assert [isinstance(decision, Permit) for decision in (first, second, after)] == [True, False, True]
    assert unknown.state().breaker == "half-open"


def test_denials_open_no_breaker_and_one_by_whom_the_bridge_is_known_closes_it(client: Any) -> None:
    upstream = flow_control(client)
    for _ in range(50):
        upstream.record(DENIED)
    after_denials = upstream.state().breaker
    found_out = opened(client)
    found_out.acquire()
    found_out.record(DENIED)

    assert after_denials == "closed"
    assert found_out.state().breaker == "closed"


def test_calls_that_were_denied_have_a_small_limit_of_their_own_which_others_do_not_feel(client: Any) -> None:
    unlimited, limited = flow_control(client), RedisFlowControl(client, "http://other", rate=20, burst=40, probe=PROBE)

    again = [isinstance(unlimited.acquire(denied=True), Permit) for _ in range(30)]
    others = [isinstance(unlimited.acquire(), Permit) for _ in range(30)]
    of_limited = [isinstance(limited.acquire(denied=True), Permit) for _ in range(30)]

    assert again[:10] == [True] * 10
    assert sum(again) < 13
    assert others == [True] * 30
    assert 10 <= sum(of_limited) < 12
    assert isinstance(limited.acquire(), Permit)


def test_once_a_denied_call_gets_through_ten_more_may_try(client: Any) -> None:
    upstream = RedisFlowControl(client, "http://slow", rate=10, burst=100, probe=PROBE)
    while isinstance(upstream.acquire(denied=True), Permit):
        pass

    upstream.record(UP, was_denied=True)
    allowed = sum(isinstance(upstream.acquire(denied=True), Permit) for _ in range(20))
    upstream.record(DENIED, was_denied=True)
    upstream.record(UP)

    assert 10 <= allowed <= 11
    assert isinstance(upstream.acquire(denied=True), Withheld)


def test_a_call_that_was_denied_is_not_the_one_that_finds_out(client: Any) -> None:
    upstream = opened(client)

    denied, other = upstream.acquire(denied=True), upstream.acquire()

    assert isinstance(denied, Withheld)
    assert dt.timedelta(seconds=4) < denied.after <= dt.timedelta(seconds=5)
    assert isinstance(other, Permit)


def test_where_every_call_was_denied_one_of_them_finds_out_after_a_while(client: Any) -> None:
    upstream = opened(client)
    wait = upstream.acquire(denied=True)
    assert isinstance(wait, Withheld)
    # As if the time had passed.
    until = int(client.hget(keys.flow_control("http://upstream"), "until"))
    client.hset(keys.flow_control("http://upstream"), "until", until - 5000)

    assert isinstance(upstream.acquire(denied=True), Permit)


def test_what_only_reads_does_not_say_that_a_write_would_get_through(client: Any) -> None:
    reading = flow_control(client)
    began = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    reading.record(UP, of_read=True)
    of_reads = reading.delivered_since(began)
    reading.record(UP)

    assert (of_reads, reading.delivered_since(began)) == (False, True)
