# SPDX-License-Identifier: Apache-2.0
"""Diagnostics: checks an installation by its environment and names a fix for each problem.

Independent groups of checks run in parallel, each check with a timeout.
"""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence

from bridge.doctor.api import api_checks, certificate_checks
from bridge.doctor.backlog import operation_checks
from bridge.doctor.checks import CHECK_TIMEOUT_S, Check, CheckStatus, Finding, findings, mask_secrets, skipped
from bridge.doctor.configuration import Configuration, read_configuration, secrets_in, with_credentials
from bridge.doctor.redis_checks import broker_checks, store_checks
from bridge.doctor.sign_in import sign_in_checks
from bridge.doctor.upstream import upstream_checks
from bridge.process.clock import Clock

__all__ = ["CheckStatus", "Finding", "examine"]


def examine(
    environ: Mapping[str, str], clock: Clock, *, api_is_here: bool = False, timeout_s: float = CHECK_TIMEOUT_S
) -> Iterator[Finding]:
    """Yield the finding of each check, in a fixed order, as soon as it is available.

    Secrets of the environment are masked. With ``api_is_here``, a missing api is a failure.
    """
    environ = with_credentials(environ)
    secrets = secrets_in(environ)
    for finding in _findings(environ, clock, api_is_here=api_is_here, timeout_s=timeout_s):
        yield mask_secrets(finding, secrets)


def _findings(environ: Mapping[str, str], clock: Clock, *, api_is_here: bool, timeout_s: float) -> Iterator[Finding]:
    configuration = read_configuration(environ)
    yield from findings([Check("settings", lambda: configuration.result)])
    groups = [_Group(checks, timeout_s) for checks in _groups(configuration, clock, api_is_here=api_is_here)]
    for group in groups:
        group.start()
    for group in groups:
        yield from group.findings()


def _groups(configuration: Configuration, clock: Clock, *, api_is_here: bool) -> list[list[Check]]:
    """Return the groups of checks. Groups run in parallel, the checks of a group in sequence."""
    settings = configuration.settings
    if settings is None:
        return [[Check(name, lambda: skipped("depends on: settings"))] for name in ("store", "broker", "upstream")]
    groups = {
        "store": [*store_checks(settings, clock), *operation_checks(settings, clock)],
        "broker": broker_checks(settings),
        "upstream": upstream_checks(settings, clock),
        "tls certificate": certificate_checks(settings, clock),
        "sign-in": sign_in_checks(settings, clock),
        "api": api_checks(settings, is_here=api_is_here),
    }
    return [_unnamed(name) if name in configuration.unnamed else checks for name, checks in groups.items() if checks]


def _unnamed(name: str) -> list[Check]:
    reason = "not checked: no readable setting names it; /readyz shows the one that `mlflow-bridge up` has chosen"
    return [Check(name, lambda: skipped(reason))]


class _Group(threading.Thread):
    """Runs a group of checks in sequence, in a thread of its own."""

    def __init__(self, checks: Sequence[Check], timeout_s: float) -> None:
        super().__init__(name="group", daemon=True)
        self._checks = checks
        self._timeout_s = timeout_s
        self._queue: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def run(self) -> None:
        """Run the checks."""
        for finding in findings(self._checks, timeout_s=self._timeout_s):
            self._queue.put(finding)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings as they arrive."""
        for _ in self._checks:
            yield self._queue.get()
