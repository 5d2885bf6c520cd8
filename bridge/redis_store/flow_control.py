# SPDX-License-Identifier: Apache-2.0
"""The rate limiter, circuit breaker and pause in Redis, a hash per upstream. See `bridge.upstream.flow_control`."""

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.scripts import load
from bridge.redis_store.timestamps import from_ms, store_time_ms, to_ms
from bridge.upstream import Delivered, Denied, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.flow_control import Decision, FlowControlState, Pause, Permit, Withheld

#: The longest wait that a permit may have. Rather than wait longer, a worker releases the lane.
_MAX_WAIT = dt.timedelta(seconds=1)
#: Failures in a row that open the breaker, and the longest time that it stays open.
_FAILURE_THRESHOLD = 5
_MAX_OPEN = dt.timedelta(seconds=30)
#: The rate of calls that were denied before: a tenth of the rate limit, or this where there is none.
_DENIED_CALLS_PER_SECOND = 2.0
#: The end of a pause without one, in ms. A double holds it exactly.
_NO_END_MS = 1 << 52
_PAUSE_FIELDS = ("paused_until", "paused_since", "paused_why", "paused_by")
#: The fields of the hash that the state of an upstream is read from, in the order of ``read_state``.
STATE_FIELDS = ("until", "reason", "rate", "next", "delivered", "opened", "trips", "failures", *_PAUSE_FIELDS)


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
        self._pause = load(client, "pause")

    def acquire(self, *, denied: bool = False, delivers: bool = True) -> Decision:
        """Acquire a permit for one call."""
        arguments = [self._rate, self.burst, to_ms(self._probe_timeout), to_ms(_MAX_WAIT)]
        arguments += [self._denied_rate if denied else 0, int(delivers)]
        with store_errors():
            state, wait_ms, *reason = self._acquire([self.key], arguments)
        wait = dt.timedelta(milliseconds=int(wait_ms))
        return Permit(wait) if state == b"open" else Withheld(wait, reason[0].decode(), by_pause=state == b"paused")

    def record(self, outcome: Outcome, *, of_read: bool = False, was_denied: bool = False) -> None:
        """Record the outcome of a call."""
        kind, reason, retry_after = _recorded_outcome(outcome)
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
        """Return the state of the limiter, the breaker and the pause."""
        with store_errors():
            fields = self._client.hmget(self.key, STATE_FIELDS)
            return self.read_state(fields, store_time_ms(self._client))

    def read_state(self, fields: Sequence[bytes | None], now_ms: int) -> FlowControlState:
        """Return the state that these values of ``STATE_FIELDS`` stand for."""
        state = {name: value for name, value in zip(STATE_FIELDS, fields, strict=True) if value is not None}
        rate = float(state.get("rate", self._rate)) or None
        full_in_s = max(0.0, int(state.get("next", 0)) / 1000 - now_ms) / 1000
        until, opened, delivered = state.get("until"), state.get("opened"), state.get("delivered")
        # A call in flight when the breaker opened may succeed within the timeout. One delivered later shows that
        # ``opened`` is of an earlier opening: a process of an older release does not keep it up to date.
        is_opened_valid = opened and until and int(delivered or 0) - int(opened) <= to_ms(self._probe_timeout)
        return FlowControlState(
            breaker="closed" if until is None else "open" if int(until) > now_ms else "half-open",
            reason=state.get("reason", b"").decode() if until else None,
            opens_again_at=from_ms(until) if until else None,
            rate=rate,
            configured_rate=self._rate or None,
            bucket=self.burst - full_in_s * rate if rate else None,
            delivered_at=from_ms(delivered) if delivered else None,
            burst=self.burst if rate else None,
            since=from_ms(opened) if opened and is_opened_valid else None,
            paused=_read_pause(state, now_ms),
            trips=int(state.get("trips", 0)),
            failures=int(state.get("failures", 0)),
        )

    def is_paused(self) -> bool:
        """Return whether deliveries are paused. The store's clock is read only if there is a pause."""
        with store_errors():
            until = self._client.hget(self.key, "paused_until")
            return until is not None and int(until) > store_time_ms(self._client)

    def pause(self, *, why: str, by: str, until: dt.datetime | None) -> None:
        """Pause deliveries."""
        until_ms = _NO_END_MS if until is None else round(until.timestamp() * 1000)
        with store_errors():
            self._pause([self.key], [until_ms, why, by])

    def resume(self) -> None:
        """End the pause."""
        with store_errors():
            self._client.hdel(self.key, *_PAUSE_FIELDS)


def _read_pause(state: Mapping[str, bytes], now_ms: int) -> Pause | None:
    until_ms = int(state.get("paused_until", 0))
    if until_ms <= now_ms:
        return None
    return Pause(
        why=state.get("paused_why", b"").decode(),
        by=state.get("paused_by", b"").decode(),
        since=from_ms(state.get("paused_since", 0)),
        until=None if until_ms >= _NO_END_MS else from_ms(until_ms),
    )


def _recorded_outcome(outcome: Outcome) -> tuple[str, str, dt.timedelta]:
    """Return the outcome as record_outcome.lua takes it: its kind, its reason, and upstream's ``Retry-After``."""
    no_retry_after = dt.timedelta()
    match outcome:
        case Delivered():
            return "delivered", "", no_retry_after
        case Refused():
            return "answered", "", no_retry_after
        case Unknown():
            return "failed", outcome.reason, no_retry_after
        case Denied():
            # AWS or MLflow identified the bridge, so upstream is up. A denial by a gateway does not prove that.
            return ("answered" if outcome.identified else "missing"), "", no_retry_after
        case Unavailable(answered=True):
            return "answered", "", no_retry_after
        case Unavailable():
            return _failure_kind(outcome), outcome.reason, outcome.retry_after or no_retry_after
        case _:
            assert_never(outcome)


def _failure_kind(outcome: Unavailable) -> str:
    if outcome.identity_failed:
        return "identity_failed"
    if outcome.throttled:
        return "throttled"
    return "missing" if outcome.missing else "failed"
