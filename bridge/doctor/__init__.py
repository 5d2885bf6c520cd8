# SPDX-License-Identifier: Apache-2.0
"""Checks an installation as its environment sets it up, and says what to mend.

What does not depend on each other is looked at at the same time, and each check is waited for only so long.
"""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bridge.doctor.api import api_checks, certificate_checks
from bridge.doctor.backlog import work_checks
from bridge.doctor.checks import PATIENCE, Check, CheckReport, Finding, findings, skipped
from bridge.doctor.configuration import Case, read_case, secrets_in
from bridge.doctor.redis_checks import broker_checks, store_checks
from bridge.doctor.upstream import upstream_checks
from bridge.process.clock import Clock

__all__ = ["CheckReport", "Finding", "examine"]


def examine(
    environ: Mapping[str, str], clock: Clock, *, api_is_here: bool = False, patience: float = PATIENCE
) -> Iterator[Finding]:
    """Return what each check comes to, in an order that is always the same, each as soon as it is known.

    Nothing that is a secret in the environment stands in a finding. ``api_is_here`` says that the api must run here.
    """
    secrets = secrets_in(environ)
    for finding in _findings(environ, clock, api_is_here=api_is_here, patience=patience):
        yield replace(
            finding,
            found=_cleared(finding.found, secrets),
            fix=tuple(_cleared(text, secrets) for text in finding.fix),
        )


def _findings(environ: Mapping[str, str], clock: Clock, *, api_is_here: bool, patience: float) -> Iterator[Finding]:
    case = read_case(environ)
    yield from findings([Check("settings", lambda: case.opinion)])
    groups = [_Group(checks, patience) for checks in _groups(case, clock, api_is_here=api_is_here)]
    for group in groups:
        group.start()
    for group in groups:
        yield from group.findings()


def _groups(case: Case, clock: Clock, *, api_is_here: bool) -> list[list[Check]]:
    """Return checks that can be made at the same time, those of a group one after the other."""
    settings = case.settings
    if settings is None:
        return [[Check(name, lambda: skipped("not looked at: settings"))] for name in ("store", "broker", "upstream")]
    groups = {
        "store": [*store_checks(settings, clock), *work_checks(settings, clock)],
        "broker": broker_checks(settings),
        "upstream": upstream_checks(settings, clock),
        "tls certificate": certificate_checks(settings, clock),
        "api": api_checks(settings, is_here=api_is_here),
    }
    return [_unnamed(name) if name in case.unnamed else checks for name, checks in groups.items() if checks]


def _unnamed(name: str) -> list[Check]:
    reason = "not looked at: no setting that can be read names it; of what `up` has chosen, /readyz tells"
    return [Check(name, lambda: skipped(reason))]


class _Group(threading.Thread):
    """Makes some checks one after the other, beside other groups."""

    def __init__(self, checks: Sequence[Check], patience: float) -> None:
        super().__init__(name="group", daemon=True)
        self._checks = checks
        self._patience = patience
        self._found: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def run(self) -> None:
        """Make them."""
        for finding in findings(self._checks, patience=self._patience):
            self._found.put(finding)

    def findings(self) -> Iterator[Finding]:
        """Wait for what each comes to."""
        for _ in self._checks:
            yield self._found.get()


def _cleared(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
