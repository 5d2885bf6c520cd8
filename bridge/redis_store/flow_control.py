# SPDX-License-Identifier: Apache-2.0
"""The rate limiter and circuit breaker in Redis, a hash per upstream. See `bridge.upstream.flow_control`."""

import dataclasses
import datetime as dt
import random
from collections.abc import Sequence
from typing import Any, assert_never

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import load
from bridge.redis_store.timestamps import from_ms, store_time_ms, to_ms
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Decision, FlowControlState, Permit, Withheld

#: The longest wait that a permit may have. Rather than wait longer, a worker releases the lane.
_MAX_WAIT = dt.timedelta(seconds=1)
#: Failures in a row that open the breaker.
_FAILURE_THRESHOLD = 5
_MAX_OPEN = dt.timedelta(seconds=30)
#: The rate of calls that were denied before: a tenth of the rate limit, or this where there is none.
_DENIED_CALLS_PER_SECOND = 2.0
#: What the state of an upstream is read from.
STATE_FIELDS = ("until", "reason", "rate", "next", "delivered", "opened")


class RedisFlowControl:
    """See `bridge.upstream.flow_control.FlowControl` for the promises."""

    def __init__(
        self, client: redis.Redis, upstream: str, *, rate: float | None, burst: int, probe: dt.timedelta
    ) -> None:
        self._client: Any = client
        self.key = keys.flow_control(upstream)
        self._rate = rate or 0
        self.burst = burst
        self._probe_timeout = probe
        self._denied_rate = max(1.0, rate / 10) if rate else _DENIED_CALLS_PER_SECOND
        self._acquire = load(client, "acquire")
        self._record_outcome = load(client, "record_outcome")

    def acquire(self, *, denied: bool = False) -> Decision:
        """Acquire a permit for one call."""
        arguments = [self._rate, self.burst, to_ms(self._probe_timeout), to_ms(_MAX_WAIT)]
        arguments.append(self._denied_rate if denied else 0)
        with store_errors():
            state, wait_ms, *reason = self._acquire([self.key], arguments)
        wait = dt.timedelta(milliseconds=int(wait_ms))
        return Permit(wait) if state == b"open" else Withheld(wait, reason[0].decode())

    def record(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:
        """Record the outcome of a call."""
        kind, reason, retry_after = _recorded_as(outcome)
        if of_read and kind == "delivered":
            kind = "answered"
        jitter = random.uniform(0.5, 1)  # noqa: S311 - it only spreads workers
        arguments: list[Any] = [kind, reason, to_ms(retry_after), self._rate]
        arguments += [_FAILURE_THRESHOLD, to_ms(_MAX_OPEN), jitter, self._denied_rate if was_denied else 0]
        with store_errors():
            self._record_outcome([self.key], arguments)

    def delivered_since(self, moment: dt.datetime) -> bool:
        """Return whether any call succeeded after this moment."""
        with store_errors():
            delivered = self._client.hget(self.key, "delivered")
        return delivered is not None and int(delivered) > moment.timestamp() * 1000

    def state(self) -> FlowControlState:
        """Return the state of the limiter and the breaker."""
        with store_errors():
            fields = self._client.hmget(self.key, STATE_FIELDS)
            return self.read_state(fields, store_time_ms(self._client))

    def read_state(self, fields: Sequence[bytes | None], now_ms: int) -> FlowControlState:
        """Return the state that these values of ``STATE_FIELDS`` stand for."""
        until, reason, rate, full_at, delivered, opened = fields
        limit = float(rate or self._rate) or None
        full_in_s = max(0.0, int(full_at or 0) / 1000 - now_ms) / 1000
        state = FlowControlState(
            breaker="closed",
            reason=None,
            opens_again_at=None,
            rate=limit,
            bucket=self.burst - full_in_s * limit if limit else None,
            delivered_at=from_ms(delivered) if delivered else None,
        )
        if until is None:
            return state
        # A call in flight may still succeed. What is older than that was left by a process of an older release.
        is_known = opened and int(delivered or 0) - int(opened) <= to_ms(self._probe_timeout)
        return dataclasses.replace(
            state,
            breaker="open" if int(until) > now_ms else "half-open",
            reason=(reason or b"").decode(),
            since=from_ms(opened) if opened and is_known else None,
            opens_again_at=from_ms(until),
        )


def _recorded_as(outcome: Outcome) -> tuple[str, str, dt.timedelta]:
    """Return the outcome as record_outcome.lua knows it, its reason, and the pause that upstream asked for."""
    no_pause = dt.timedelta()
    match outcome:
        case Delivered():
            return "delivered", "", no_pause
        case Refused():
            return "answered", "", no_pause
        case Unknown():
            return "failed", outcome.reason, no_pause
        case Denied():
            # AWS or MLflow identified the bridge, so upstream is up. A denial by a gateway does not prove that.
            return ("answered" if outcome.identified else "missing"), "", no_pause
        case Unavailable(answered=True):
            return "answered", "", no_pause
        case Unavailable():
            return _kind_of(outcome), outcome.reason, outcome.retry_after or no_pause
        case _:
            assert_never(outcome)


def _kind_of(outcome: Unavailable) -> str:
    if outcome.identity_failed:
        return "identity_failed"
    if outcome.throttled:
        return "throttled"
    return "missing" if outcome.missing else "failed"
