# SPDX-License-Identifier: Apache-2.0
"""Looks at what goes on: workers, what waits and for how long, dead letters, the gate, and who may come in."""

import datetime as dt
from functools import cache, partial

from bridge.auth.api_keys import ApiKeyStore, SecretUnreadable, is_access_key_id
from bridge.bootstrap.processes import Api, build_api
from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckResult, fail, ok, warn
from bridge.outbox import Outbox
from bridge.process.clock import Clock
from schemas.client import Scope

_LATE = dt.timedelta(seconds=30)
_TOO_LATE = dt.timedelta(minutes=5)
_START = "start workers: `mlflow-bridge-worker` with the same settings (or `mlflow-bridge up`)"
_FIRST_KEY = "make one: `mlflow-bridge keys create NAME --admin`"


def work_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the questions about the work, which the store answers."""
    bridge = cache(partial(build_api, settings))
    needs = ("store",)
    checks = [
        Check("workers", lambda: _workers(bridge().outbox), needs),
        Check("lag", lambda: _lag(bridge().outbox, settings.max_write_age, clock.now()), needs),
        Check("dead letters", lambda: _dead_letters(bridge().outbox), needs),
        Check("gate", lambda: _flow_control(bridge()), needs),
    ]
    kinds = settings.auth or ()
    if "keys" in kinds:
        checks.append(Check("keys", lambda: _keys(bridge().api_keys, clock.now(), alone=kinds == ("keys",)), needs))
    if "sigv4" in kinds:
        checks.append(Check("signing keys", lambda: _signing_keys(bridge().api_keys, clock.now()), needs))
    return checks


def _workers(outbox: Outbox) -> CheckResult:
    alive, lanes = outbox.workers(), outbox.backlog().lanes
    if alive:
        return ok(f"{alive} worker {'process is' if alive == 1 else 'processes are'} alive")
    if lanes:
        return fail(f"none is alive, and {lanes} {'lane waits' if lanes == 1 else 'lanes wait'}", _START)
    return warn("none is alive; nothing waits", _START)


def _lag(outbox: Outbox, horizon: dt.timedelta, now: dt.datetime) -> CheckResult:
    backlog = outbox.backlog()
    if not backlog.lanes:
        return ok("nothing waits")
    late, age = _since(backlog.oldest_due, now), _since(backlog.oldest_accepted_at, now)
    found = (
        f"{backlog.lanes} lanes wait, {backlog.bytes} bytes held;"
        f" the oldest write since {age.total_seconds():.0f} s, the longest-due lane since {late.total_seconds():.0f} s"
    )
    if late >= _TOO_LATE:
        return fail(found, _START, "look at `mlflow-bridge backlog`, and at `gate` and `upstream` here")
    fixes = []
    if age >= horizon / 2:
        given_up = f"after {horizon.total_seconds() / 3600:g} h (BRIDGE_MAX_WRITE_AGE) writes are given up"
        fixes += [f"mend what `gate` and `upstream` say here; {given_up}"]
    if late >= _LATE:
        fixes += ["more workers, or a higher BRIDGE_WORKER_CONCURRENCY, if it stays so"]
    return warn(found, *fixes) if fixes else ok(found)


def _since(moment: dt.datetime | None, now: dt.datetime) -> dt.timedelta:
    # The store's clock says when, and may be a little ahead of ours.
    return max(dt.timedelta(), now - moment) if moment else dt.timedelta()


def _dead_letters(outbox: Outbox) -> CheckResult:
    count = outbox.backlog().dead_letters
    if not count:
        return ok("none")
    fix = "look at them: `mlflow-bridge dead-letters list`, then replay or discard them"
    return warn(f"{count} wait for somebody to look at them", fix)


def _flow_control(bridge: Api) -> CheckResult:
    state = bridge.flow_control.state()
    rate = f"{state.rate:g} calls a second" if state.rate else "calls are not limited"
    if state.breaker != "closed":
        fix = "mend what `upstream` and `aws` say here; the breaker closes by itself at the first call that is answered"
        return warn(f"the breaker is {state.breaker}: {state.reason}", fix)
    limit = bridge.settings.calls_per_second
    if state.rate and limit and state.rate < limit / 2:
        return warn(f"closed, slowed to {rate} of {limit:g}: upstream throttles", "a larger server, if it stays so")
    return ok(f"closed; {rate}")


def _keys(api_keys: ApiKeyStore, now: dt.datetime, *, alone: bool) -> CheckResult:
    admins = {client.name for client in api_keys.clients() if Scope.ADMIN in client.scopes}
    every = api_keys.keys()
    live = [key for key in every if key.expires_at is None or key.expires_at > now]
    of_admins = [key for key in live if key.client in admins]
    if alone and not live:
        return fail("BRIDGE_AUTH is keys, and nobody has one that counts", _FIRST_KEY)
    if not of_admins:
        return warn("no operator has a key: nobody can look at dead letters of others", _FIRST_KEY)
    return ok(f"{len(live)} live keys, {len(of_admins)} of them of operators")


def _signing_keys(api_keys: ApiKeyStore, now: dt.datetime) -> CheckResult:
    every = api_keys.keys()
    ids = [key.key_id for key in every if is_access_key_id(key.key_id)]
    shut = [key_id for key_id in ids if not _opens(api_keys, key_id, now)]
    if shut:
        fix = "give BRIDGE_ENCRYPTION_KEYS (or its ARN) the key that they were made with, after a comma; or rotate them"
        return fail(f"{len(shut)} of {len(ids)} secrets can't be opened with this encryption key: {shut[0]}", fix)
    return ok(f"{len(ids)}, and the encryption key opens all of them")


def _opens(api_keys: ApiKeyStore, key_id: str, now: dt.datetime) -> bool:
    try:
        api_keys.secret_of(key_id, now=now)
    except SecretUnreadable:
        return False
    return True
