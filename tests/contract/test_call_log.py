# SPDX-License-Identifier: Apache-2.0
"""What `bridge.telemetry.call_log` promises, in each store."""

import datetime as dt
from typing import Any

import pytest

from bridge.errors import StoreUnavailable
from bridge.events import UpstreamCallCompleted
from bridge.redis_store import keys
from bridge.redis_store.call_log import RedisCallLog
from bridge.telemetry.call_log import MAX_FAILURES, CallRecorder
from tests.factories import NOW
from tests.fakes import FakeClock

UPSTREAM = "0123456789ab"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def log(client: Any, clock: FakeClock) -> RedisCallLog:
    return RedisCallLog(client, UPSTREAM, clock.now)


def call(number: int = 0, *, outcome: str = "unavailable", message: str = "status 503", **fields: Any) -> Any:
    known: dict[str, Any] = {"status": 503, "lane": "r", "attempt": 1, "duration": dt.timedelta(seconds=0.25)}
    return UpstreamCallCompleted(
        **known | fields | {"endpoint": "POST runs/log-batch", "outcome": outcome, "request_id": f"q{number}"},
        unlogged_reason=message,
    )


def test_a_failed_call_is_kept_with_what_finds_it_elsewhere(log: RedisCallLog, clock: FakeClock) -> None:
    recorder = CallRecorder(log, clock.now)
    recorder(call(1, error_code="ServiceUnavailable", upstream_request_id="u1"))
    recorder.flush()

    [failure] = log.failures()

    assert (failure.at, failure.call, failure.lane, failure.status) == (NOW, "POST runs/log-batch", "r", 503)
    assert (failure.outcome, failure.error_code, failure.duration) == ("unavailable", "ServiceUnavailable", 0.25)
    assert (failure.request_id, failure.upstream_request_id, failure.message) == ("q1", "u1", "status 503")


def test_the_latest_are_kept_and_the_newest_is_first(log: RedisCallLog, client: Any, clock: FakeClock) -> None:
    recorders = [CallRecorder(log, clock.now) for _ in range(2)]
    for number in range(MAX_FAILURES + 100):
        clock.pass_(dt.timedelta(milliseconds=5))
        recorders[number % 2](call(number))
        if number % 70 == 0:
            recorders[0].flush()
    for recorder in recorders:
        recorder.flush()

    found = log.failures()

    assert client.llen(keys.upstream_failures(UPSTREAM)) == MAX_FAILURES == len(found)
    assert [failure.at for failure in found] == sorted((failure.at for failure in found), reverse=True)
    assert found[0].request_id == f"q{MAX_FAILURES + 99}"


def test_what_upstream_says_is_cut(log: RedisCallLog, clock: FakeClock) -> None:
    recorder = CallRecorder(log, clock.now)
    recorder(call(message="é" * 10_000, error_code="E" * 10_000, upstream_request_id="u" * 10_000))
    recorder.flush()

    [failure] = log.failures()

    assert (len(failure.message), failure.message[-2:]) == (300, "é…")
    assert (len(failure.error_code or ""), len(failure.upstream_request_id or "")) == (128, 128)


def test_calls_are_counted_by_outcome_for_an_hour(log: RedisCallLog, clock: FakeClock) -> None:
    recorder = CallRecorder(log, clock.now)
    for outcome in ("delivered", "delivered", "unavailable", "refused"):
        recorder(call(outcome=outcome))
    recorder.flush()
    clock.pass_(dt.timedelta(minutes=30))
    recorder(call(outcome="delivered"))
    recorder.flush()
    recorder.flush()

    within = log.outcomes()
    clock.pass_(dt.timedelta(minutes=40))
    later = log.outcomes()
    clock.pass_(dt.timedelta(minutes=40))

    assert within == {"delivered": 3, "unavailable": 1, "refused": 1}
    assert later == {"delivered": 1}
    assert log.outcomes() == {}


def test_a_lookup_that_finds_nothing_has_not_failed(log: RedisCallLog, clock: FakeClock) -> None:
    recorder = CallRecorder(log, clock.now)
    recorder(call(outcome="refused", reads=True, status=404))
    recorder(call(outcome="unavailable", reads=True))
    recorder.flush()

    assert [failure.outcome for failure in log.failures()] == ["unavailable"]
    assert log.outcomes() == {"delivered": 1, "unavailable": 1}


def test_what_the_store_does_not_take_is_kept_for_the_next_time(
    log: RedisCallLog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = CallRecorder(log, clock.now)
    add = log.add

    def unavailable(*_: Any) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(log, "add", unavailable)
    for number in range(MAX_FAILURES + 5):
        clock.pass_(dt.timedelta(milliseconds=5))
        recorder(call(number))
        recorder.flush()
    monkeypatch.setattr(log, "add", add)
    recorder.flush()

    assert log.outcomes() == {"unavailable": MAX_FAILURES + 5}
    assert len(log.failures()) == MAX_FAILURES
    assert log.failures()[0].request_id == f"q{MAX_FAILURES + 4}"


def test_upstreams_have_logs_of_their_own(client: Any, log: RedisCallLog, clock: FakeClock) -> None:
    recorder = CallRecorder(log, clock.now)
    recorder(call())
    recorder.flush()
    other = RedisCallLog(client, "ba9876543210", clock.now)

    assert (other.failures(), other.outcomes()) == ([], {})
