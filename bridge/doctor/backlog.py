# SPDX-License-Identifier: Apache-2.0
"""Checks of the operation: workers, delivery lag, dead letters, flow control and API keys."""

import datetime as dt
from functools import cache, partial

from bridge.auth.api_keys import ApiKeyStore, SecretUnreadable, is_access_key_id
from bridge.bootstrap.processes import Api, build_api
from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckResult, fail, ok, warn
from bridge.outbox import Outbox
from bridge.process.clock import Clock
from bridge.upstream.flow_control import Pause
from schemas.client import Scope

#: The delays of the longest-due lane that are a warning and a failure.
_WARN_DELAY = dt.timedelta(seconds=30)
_FAIL_DELAY = dt.timedelta(minutes=5)
_START_FIX = "start workers: `mlflow-bridge-worker` with the same settings (or `mlflow-bridge up`)"
_KEY_FIX = "create one: `mlflow-bridge keys create NAME --admin`"


def operation_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks of the operation, from data in the store."""
    # Built once, by the first check that runs.
    bridge = cache(partial(build_api, settings))
    needs = ("store",)
    checks = [
        Check("workers", lambda: _check_workers(bridge().outbox), needs),
        Check("lag", lambda: _check_lag(bridge(), settings.max_write_age, clock.now()), needs),
        Check("dead letters", lambda: _check_dead_letters(bridge().outbox), needs),
        Check("flow control", lambda: _check_flow_control(bridge()), needs),
    ]
    methods = settings.auth or ()
    if "keys" in methods:
        checks.append(
            Check(
                "keys", lambda: _check_keys(bridge().api_keys, clock.now(), is_only_method=methods == ("keys",)), needs
            )
        )
    if "sigv4" in methods:
        checks.append(Check("signing keys", lambda: _check_signing_keys(bridge().api_keys, clock.now()), needs))
    return checks


def _check_workers(outbox: Outbox) -> CheckResult:
    alive, lanes = outbox.workers(), outbox.backlog().lanes
    if alive:
        return ok(f"{alive} worker {'process is' if alive == 1 else 'processes are'} alive")
    if lanes:
        return fail(f"none is alive, and {lanes} {'lane is' if lanes == 1 else 'lanes are'} pending", _START_FIX)
    return warn("none is alive; the backlog is empty", _START_FIX)


def _check_lag(bridge: Api, max_age: dt.timedelta, now: dt.datetime) -> CheckResult:
    backlog = bridge.outbox.backlog()
    if not backlog.lanes:
        return ok("the backlog is empty")
    # In a pause, lanes are due and wait for its end.
    oldest_due = None if bridge.flow_control.is_paused() else backlog.oldest_due
    delay, age = _elapsed(oldest_due, now), _elapsed(backlog.oldest_accepted_at, now)
    found = (
        f"{backlog.lanes} lanes are pending, {backlog.bytes} bytes held;"
        f" the oldest write has an age of {age.total_seconds():.0f} s,"
        f" the longest-due lane a delay of {delay.total_seconds():.0f} s"
    )
    if delay >= _FAIL_DELAY:
        return fail(found, _START_FIX, "see `mlflow-bridge backlog`, and the checks `flow control` and `upstream`")
    fixes = []
    if age >= max_age / 2:
        expiry = f"writes expire after {max_age.total_seconds() / 3600:g} h (BRIDGE_MAX_WRITE_AGE)"
        fixes += [f"fix the problems of `flow control` and `upstream`; {expiry}"]
    if delay >= _WARN_DELAY:
        fixes += ["if the delay persists, add workers or raise BRIDGE_WORKER_CONCURRENCY"]
    return warn(found, *fixes) if fixes else ok(found)


def _elapsed(moment: dt.datetime | None, now: dt.datetime) -> dt.timedelta:
    # The store's clock may be ahead of the local one.
    return max(dt.timedelta(), now - moment) if moment else dt.timedelta()


def _check_dead_letters(outbox: Outbox) -> CheckResult:
    count = outbox.backlog().dead_letters
    if not count:
        return ok("none")
    fix = "list them with `mlflow-bridge dead-letters list`, then replay or discard them"
    return warn(f"{count} need a decision", fix)


def _check_flow_control(bridge: Api) -> CheckResult:
    state = bridge.flow_control.state()
    if state.paused:
        return _paused(state.paused)
    rate = f"{state.rate:g} calls per second" if state.rate else "calls are not limited"
    if state.breaker != "closed":
        fix = "fix the problems of `upstream` and `aws`; the breaker closes after the next successful call"
        return warn(f"the circuit breaker is {state.breaker}: {state.reason}", fix)
    limit = bridge.settings.calls_per_second
    if state.rate and limit and state.rate < limit / 2:
        return warn(f"closed, slowed to {rate} of {limit:g}: upstream throttles", "use a larger server if it persists")
    return ok(f"closed; {rate}")


def _paused(pause: Pause) -> CheckResult:
    until = f"until {pause.until:%Y-%m-%d %H:%MZ}" if pause.until else "until they are resumed"
    found = f"{pause.by} has paused deliveries since {pause.since:%Y-%m-%d %H:%MZ}, {until}: {pause.why}"
    return warn(found, "once upstream is ready again: `mlflow-bridge upstream resume`")


def _check_keys(api_keys: ApiKeyStore, now: dt.datetime, *, is_only_method: bool) -> CheckResult:
    admins = {client.name for client in api_keys.clients() if Scope.ADMIN in client.scopes}
    stored_keys = api_keys.keys()
    live = [key for key in stored_keys if key.expires_at is None or key.expires_at > now]
    of_admins = [key for key in live if key.client in admins]
    if is_only_method and not live:
        return fail("BRIDGE_AUTH is keys, but no client has a valid key", _KEY_FIX)
    if not of_admins:
        return warn("no operator has a key: no client can see the dead letters of all clients", _KEY_FIX)
    return ok(f"{len(live)} valid keys, {len(of_admins)} of them of operators")


def _check_signing_keys(api_keys: ApiKeyStore, now: dt.datetime) -> CheckResult:
    stored_keys = api_keys.keys()
    ids = [key.key_id for key in stored_keys if is_access_key_id(key.key_id)]
    unreadable = [key_id for key_id in ids if not _can_decrypt(api_keys, key_id, now)]
    if unreadable:
        fix = "append the key that encrypted them to BRIDGE_ENCRYPTION_KEYS (or to its secret), or rotate them"
        return fail(f"{len(unreadable)} of {len(ids)} secrets can't be decrypted: {unreadable[0]}", fix)
    return ok(f"{len(ids)}, all decrypted by the encryption keys")


def _can_decrypt(api_keys: ApiKeyStore, key_id: str, now: dt.datetime) -> bool:
    try:
        api_keys.secret_of(key_id, now=now)
    except SecretUnreadable:
        return False
    return True
