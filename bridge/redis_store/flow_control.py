# SPDX-License-Identifier: Apache-2.0
"""The gate in Redis: one hash for each upstream. The contract is `bridge.upstream.flow_control`."""

import dataclasses
import datetime as dt
import random
from typing import Any, assert_never

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import load
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Decision, FlowControlState, Permit, Rejected

#: A worker waits this long for its call's place; for a later one it lets go of the lane, whose writes gather meanwhile.
_LONGEST_WAIT = dt.timedelta(seconds=1)
_FAILURES = 5
_LONGEST_OPEN = dt.timedelta(seconds=30)
#: Calls a second that were denied before: a tenth of what upstream allows, or this where it does not limit calls.
_DENIED_CALLS_PER_SECOND = 2.0


class RedisFlowControl:
    """See `bridge.upstream.flow_control.FlowControl` for the promises."""

    def __init__(
        self, client: redis.Redis, upstream: str, *, rate: float | None, burst: int, probe: dt.timedelta
    ) -> None:
        self._client: Any = client
        self._key = keys.flow_control(upstream)
        self._rate = rate or 0
        self._burst = burst
        self._probe = probe
        self._denied_rate = max(1.0, rate / 10) if rate else _DENIED_CALLS_PER_SECOND
        self._acquire = load(client, "acquire")
        self._record_outcome = load(client, "record_outcome")

    def acquire(self, *, denied: bool = False) -> Decision:
        """Ask to send one call."""
        arguments = [self._rate, self._burst, _ms(self._probe), _ms(_LONGEST_WAIT), self._denied_rate if denied else 0]
        with store_errors():
            word, ms, *reason = self._acquire([self._key], arguments)
        span = dt.timedelta(milliseconds=int(ms))
        return Permit(span) if word == b"open" else Rejected(span, reason[0].decode())

    def record(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:
        """Tell what came of a call."""
        kind, reason, retry_after = _reading(outcome)
        if of_read and kind == "delivered":
            kind = "answered"
        jitter = random.uniform(0.5, 1)  # noqa: S311 - it only spreads workers
        arguments: list[Any] = [kind, reason, _ms(retry_after), self._rate, _FAILURES, _ms(_LONGEST_OPEN), jitter]
        arguments.append(self._denied_rate if was_denied else 0)
        with store_errors():
            self._record_outcome([self._key], arguments)

    def delivered_since(self, moment: dt.datetime) -> bool:
        """Return whether any call got through after this moment."""
        with store_errors():
            delivered = self._client.hget(self._key, "delivered")
        return delivered is not None and int(delivered) > moment.timestamp() * 1000

    def state(self) -> FlowControlState:
        """Return how the gate stands."""
        with store_errors():
            until, reason, rate, full_at, delivered = self._client.hmget(
                self._key, "until", "reason", "rate", "next", "delivered"
            )
            seconds, micros = self._client.time()
        now = seconds * 1000 + micros // 1000
        limit = float(rate or self._rate) or None
        missing = max(0.0, int(full_at or 0) / 1000 - now) / 1000
        state = FlowControlState(
            breaker="closed",
            reason=None,
            opens_again_at=None,
            rate=limit,
            bucket=self._burst - missing * limit if limit else None,
            delivered_at=_moment(delivered) if delivered else None,
        )
        if until is None:
            return state
        breaker = "open" if int(until) > now else "half-open"
        return dataclasses.replace(state, breaker=breaker, reason=reason.decode(), opens_again_at=_moment(until))


def _moment(ms: bytes) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(ms) / 1000, dt.UTC)


def _reading(outcome: Outcome) -> tuple[str, str, dt.timedelta]:
    none = dt.timedelta()
    match outcome:
        case Delivered():
            return "delivered", "", none
        case Refused():
            return "answered", "", none
        case Unknown():
            return "failed", outcome.reason, none
        case Denied():
            # AWS and MLflow know the bridge, so upstream is there. What a gateway says does not tell.
            return ("answered" if outcome.identified else "missing"), "", none
        case Unavailable(answered=True):
            return "answered", "", none
        case Unavailable():
            kind = next((kind for kind in ("ours", "throttled", "missing") if getattr(outcome, kind)), "failed")
            return kind, outcome.reason, outcome.retry_after or none
        case _:
            assert_never(outcome)


def _ms(span: dt.timedelta) -> int:
    return round(span.total_seconds() * 1000)
