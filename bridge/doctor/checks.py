# SPDX-License-Identifier: Apache-2.0
"""The framework of the doctor's checks: a check, its result, and the runner with dependencies and timeouts."""

import datetime as dt
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bridge.errors import BridgeError

CHECK_TIMEOUT_S = 8.0
#: AWS refuses a signature if its time differs by more than this.
_MAX_AWS_SKEW = dt.timedelta(minutes=5)
_WARN_SKEW = dt.timedelta(seconds=30)
_CLOCK_FIX = "synchronise the clocks of both machines by NTP (chronyd, systemd-timesyncd; on AWS: 169.254.169.123)"


class CheckStatus(StrEnum):
    """The status of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    #: Not run, because a check that it depends on has failed.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check: its status, the observation, and the steps that fix a problem."""

    verdict: CheckStatus
    #: The observation, such as "expires in 3 days".
    found: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A result with the name of its check."""

    name: str
    verdict: CheckStatus
    found: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the installation. It is skipped if a check in ``needs`` has failed or was skipped."""

    name: str
    run: Callable[[], CheckResult]
    needs: tuple[str, ...] = ()


def ok(found: str) -> CheckResult:
    """Return the result of a successful check."""
    return CheckResult(CheckStatus.OK, found)


def warn(found: str, *fix: str) -> CheckResult:
    """Return a warning: the bridge works, but an operator should know."""
    return CheckResult(CheckStatus.WARN, found, fix)


def fail(found: str, first: str, *further: str) -> CheckResult:
    """Return a failure: the bridge does not work as promised. A failure always has a fix."""
    return CheckResult(CheckStatus.FAIL, found, (first, *further))


def skipped(reason: str) -> CheckResult:
    """Return the result of a check that did not run."""
    return CheckResult(CheckStatus.SKIPPED, reason)


def findings(checks: Sequence[Check], *, timeout_s: float = CHECK_TIMEOUT_S) -> Iterator[Finding]:
    """Run the checks in order and yield their findings. A failure skips only the checks that need it."""
    failed: set[str] = set()
    for check in checks:
        failed_needs = [name for name in check.needs if name in failed]
        result = (
            skipped(f"depends on: {', '.join(failed_needs)}")
            if failed_needs
            else _run_with_timeout(check.run, timeout_s)
        )
        if result.verdict in (CheckStatus.FAIL, CheckStatus.SKIPPED):
            failed.add(check.name)
        yield Finding(name=check.name, verdict=result.verdict, found=result.found, fix=result.fix)


def mask_secrets(finding: Finding, secrets: Sequence[str]) -> Finding:
    """Return the finding with each of these secrets masked."""
    found, *fix = (_masked(text, secrets) for text in (finding.found, *finding.fix))
    return replace(finding, found=found, fix=tuple(fix))


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def compare_clocks(local: dt.datetime, remote: dt.datetime, owner: str) -> CheckResult:
    """Return the result for the skew between the local clock and that of ``owner``."""
    skew = local - remote
    seconds = abs(skew.total_seconds())
    if abs(skew) < _WARN_SKEW:
        return ok(f"within {max(1, round(seconds))} s of {owner}'s")
    found = f"our clock is {seconds:.0f} s {'ahead of' if skew > dt.timedelta() else 'behind'} {owner}'s"
    if abs(skew) >= _MAX_AWS_SKEW:
        return fail(f"{found}; AWS refuses signatures beyond 300 s", _CLOCK_FIX)
    return warn(f"{found}; beyond 300 s AWS refuses signatures", _CLOCK_FIX)


def _run_with_timeout(run: Callable[[], CheckResult], timeout_s: float) -> CheckResult:
    """Run a check in a thread, abandoned after the timeout: a name lookup or disk access can't be cancelled."""
    results: queue.SimpleQueue[CheckResult] = queue.SimpleQueue()
    # No `BackgroundThread`: it runs once, and `_run_guarded` turns every exception into a result.
    threading.Thread(target=lambda: results.put(_run_guarded(run)), name="check", daemon=True).start()
    try:
        return results.get(timeout=timeout_s)
    except queue.Empty:
        return fail(f"no result within {timeout_s:g} s", "find the cause of the delay: network, name server or disk")


def _run_guarded(run: Callable[[], CheckResult]) -> CheckResult:
    try:
        return run()
    except BridgeError as error:
        return fail(f"it stopped responding: {error}", "run the check again; if it fails again, follow this error")
    except Exception as error:  # noqa: BLE001 - the other checks must run
        # Not the message, which may quote a secret.
        return fail(f"internal error of the check: {type(error).__name__}", "report this as a bug")
