# SPDX-License-Identifier: Apache-2.0
"""What a check is, and what it comes to. Nothing here knows what is checked."""

import datetime as dt
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.errors import BridgeError

#: For so long, in seconds, a check is waited for.
PATIENCE = 8.0


class CheckReport(StrEnum):
    """How a check has ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    #: It was not made, because another has failed.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check comes to: what was found, and what to do about it, one text for each step."""

    verdict: CheckReport
    found: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An opinion, and what it is about."""

    name: str
    verdict: CheckReport
    found: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the installation. It is left out if one of those that it ``needs`` has failed."""

    name: str
    look: Callable[[], CheckResult]
    needs: tuple[str, ...] = ()


def ok(found: str) -> CheckResult:
    """Nothing is to be done."""
    return CheckResult(CheckReport.OK, found)


def warn(found: str, *fix: str) -> CheckResult:
    """The bridge keeps its promises, but somebody should know."""
    return CheckResult(CheckReport.WARN, found, fix)


def fail(found: str, first: str, *further: str) -> CheckResult:
    """The bridge can't do its work, or not as promised. There is always something to be done."""
    return CheckResult(CheckReport.FAIL, found, (first, *further))


def skipped(reason: str) -> CheckResult:
    """There was nothing to look at."""
    return CheckResult(CheckReport.SKIPPED, reason)


def findings(checks: Sequence[Check], *, patience: float = PATIENCE) -> Iterator[Finding]:
    """Make the checks in their order. One that fails holds up only those that need it."""
    unsound: set[str] = set()
    for check in checks:
        lacking = [name for name in check.needs if name in unsound]
        opinion = skipped(f"not looked at: {', '.join(lacking)}") if lacking else _bounded(check.look, patience)
        if opinion.verdict in (CheckReport.FAIL, CheckReport.SKIPPED):
            unsound.add(check.name)
        yield Finding(name=check.name, verdict=opinion.verdict, found=opinion.found, fix=opinion.fix)


def _bounded(look: Callable[[], CheckResult], patience: float) -> CheckResult:
    """Look, in a thread that is left alone if it takes too long: a resolver or a file system can't be told to hurry."""
    said: queue.SimpleQueue[CheckResult] = queue.SimpleQueue()
    # No `BackgroundThread`: it looks once, and `_guarded` turns whatever goes wrong into an opinion.
    threading.Thread(target=lambda: said.put(_guarded(look)), name="check", daemon=True).start()
    try:
        return said.get(timeout=patience)
    except queue.Empty:
        return fail(f"no verdict within {patience:g} s", "find out what hangs: the network, a name server, a disk")


def _guarded(look: Callable[[], CheckResult]) -> CheckResult:
    try:
        return look()
    except BridgeError as error:
        return fail(f"it stopped answering: {error}", "look again; if it stays so, look into what this error says")
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
        # Not its words: nobody knows what they quote.
        return fail(f"the check broke off: {type(error).__name__}", "report this: the doctor has a defect")


#: AWS takes no signature that is older, or younger, than this.
_AWS_REFUSES = dt.timedelta(minutes=5)
_WARN = dt.timedelta(seconds=30)
_FIX = "have both machines keep time by NTP (chronyd, systemd-timesyncd; on AWS: 169.254.169.123)"


def compared(ours: dt.datetime, theirs: dt.datetime, owner: str) -> CheckResult:
    """Return what the difference between our clock and another comes to."""
    skew = ours - theirs
    seconds = abs(skew.total_seconds())
    if abs(skew) < _WARN:
        return ok(f"within {max(1, round(seconds))} s of {owner}'s")
    found = f"our clock is {seconds:.0f} s {'ahead of' if skew > dt.timedelta() else 'behind'} {owner}'s"
    if abs(skew) >= _AWS_REFUSES:
        return fail(f"{found}; AWS refuses replay_cache beyond 300 s", _FIX)
    return warn(f"{found}; beyond 300 s AWS refuses replay_cache", _FIX)
