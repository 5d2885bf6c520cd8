# SPDX-License-Identifier: Apache-2.0
"""A probe of upstream by a running api: the doctor's checks of the way there, within a bounded time.

It needs no right that the bridge itself does not need, changes nothing, and shows no secret.
"""

import datetime as dt
import queue
import threading
import time
from collections.abc import Sequence

from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckStatus, Finding, findings, mask_secrets
from bridge.doctor.configuration import secrets_in
from bridge.doctor.upstream import NO_DATE_HEADER, upstream_checks
from bridge.process.clock import Clock
from schemas.upstream import ProbeCheck, ProbeDocument

_TIMEOUT_S = 15.0
_CHECK_TIMEOUT_S = 5.0
#: Operators who ask together get one result.
_RESULT_TTL = dt.timedelta(seconds=2)
#: Asks STS for the identity, which needs a way to STS that signing alone does not need.
_LEFT_OUT = "aws identity"
#: The check that sends a read and looks at the response.
_READ = "upstream"


class UpstreamProbe:
    """Probes one upstream, one probe at a time."""

    def __init__(self, settings: Settings, clock: Clock, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._settings = settings
        self._clock = clock
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._last: tuple[dt.timedelta, ProbeDocument] | None = None

    def run(self) -> ProbeDocument:
        """Return the result of each check, after the timeout at the latest; another probe may run before it."""
        with self._lock:
            if self._last is None or self._clock.monotonic() - self._last[0] > _RESULT_TTL:
                document = self._probe()
                self._last = (self._clock.monotonic(), document)
            return self._last[1]

    def _probe(self) -> ProbeDocument:
        checks = [check for check in upstream_checks(self._settings, self._clock) if check.name != _LEFT_OUT]
        secrets = self._secrets()
        found = [mask_secrets(finding, secrets) for finding in _within(checks, self._timeout_s)]
        return ProbeDocument(
            reachable=any(finding.name == _READ and _is_ok(finding) for finding in found),
            checks=[_document(finding) for finding in found if not _is_unknown(finding)],
        )

    def _secrets(self) -> list[str]:
        settings, proxies = self._settings, self._settings.network.proxies
        urls = [
            settings.upstream,
            settings.upstream_endpoint,
            *(each.url for each in (proxies.https, proxies.http) if each),
        ]
        return secrets_in({f"url {number}": url for number, url in enumerate(urls) if url})


def _within(checks: Sequence[Check], timeout_s: float) -> list[Finding]:
    """Return the findings of the checks in order. Those that take too long are skipped, and left to themselves."""
    found: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def run() -> None:
        for finding in findings(checks, timeout_s=_CHECK_TIMEOUT_S):
            found.put(finding)

    # No `BackgroundThread`: it runs once, and a check turns every exception into a result.
    threading.Thread(target=run, name="probe", daemon=True).start()
    end = time.monotonic() + timeout_s
    results: list[Finding] = []
    for check in checks:
        try:
            results.append(found.get(timeout=max(0.0, end - time.monotonic())))
        except queue.Empty:
            late = f"not finished within the {timeout_s:g} s of a probe"
            results.append(Finding(name=check.name, verdict=CheckStatus.SKIPPED, found=late))
    return results


def _is_ok(finding: Finding) -> bool:
    return finding.verdict in (CheckStatus.OK, CheckStatus.WARN)


def _is_unknown(finding: Finding) -> bool:
    """Return whether a check had nothing to examine, although all that it needs is well."""
    return finding.verdict is CheckStatus.SKIPPED and finding.found == NO_DATE_HEADER


def _document(finding: Finding) -> ProbeCheck:
    return ProbeCheck(
        name=finding.name,
        ok=_is_ok(finding),
        verdict=finding.verdict.value,
        detail=finding.found,
        advice="; ".join(finding.fix) or None,
    )
