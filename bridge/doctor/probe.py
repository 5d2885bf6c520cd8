# SPDX-License-Identifier: Apache-2.0
"""A probe of upstream by a running api: the doctor's checks of the way to upstream, within a bounded time.

A probe needs no permission that the bridge itself does not need, changes nothing, and shows no secret.
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
#: Operators that probe at the same time get one result.
_RESULT_TTL = dt.timedelta(seconds=2)
#: Not part of a probe: it calls STS, which signing alone does not need.
_OMITTED_CHECK = "aws identity"
#: The check that sends a signed read.
_READ_CHECK = "upstream"


class UpstreamProbe:
    """Probes one upstream, one probe at a time."""

    def __init__(self, settings: Settings, clock: Clock, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._settings = settings
        self._clock = clock
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        #: When the last probe ended (monotonic time), and its result.
        self._last: tuple[dt.timedelta, ProbeDocument] | None = None

    def run(self) -> ProbeDocument:
        """Return the result of each check, after the timeout at the latest. Waits for a probe that is under way."""
        with self._lock:
            if self._last is not None:
                ended_at, document = self._last
                if self._clock.monotonic() - ended_at <= _RESULT_TTL:
                    return document
            document = self._probe()
            self._last = (self._clock.monotonic(), document)
            return document

    def _probe(self) -> ProbeDocument:
        checks = [check for check in upstream_checks(self._settings, self._clock) if check.name != _OMITTED_CHECK]
        secrets = self._secrets()
        found = [mask_secrets(finding, secrets) for finding in _run_within(checks, self._timeout_s)]
        return ProbeDocument(
            reachable=any(finding.name == _READ_CHECK and _is_ok(finding) for finding in found),
            checks=[_document(finding) for finding in found if not _is_inapplicable(finding)],
        )

    def _secrets(self) -> list[str]:
        settings, proxies = self._settings, self._settings.network.proxies
        urls = [
            settings.upstream,
            settings.upstream_endpoint,
            *(proxy.url for proxy in (proxies.https, proxies.http) if proxy),
        ]
        return secrets_in({f"url {number}": url for number, url in enumerate(urls) if url})


def _run_within(checks: Sequence[Check], timeout_s: float) -> list[Finding]:
    """Return the findings of the checks in order. A check that takes too long is abandoned, and the rest skipped."""
    arrived: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def run() -> None:
        for finding in findings(checks, timeout_s=_CHECK_TIMEOUT_S):
            arrived.put(finding)

    # No `BackgroundThread`: it runs once, and a check turns every exception into a result.
    threading.Thread(target=run, name="probe", daemon=True).start()
    end = time.monotonic() + timeout_s
    results: list[Finding] = []
    for check in checks:
        try:
            results.append(arrived.get(timeout=max(0.0, end - time.monotonic())))
        except queue.Empty:
            reason = f"not finished within the {timeout_s:g} s of a probe"
            results.append(Finding(name=check.name, verdict=CheckStatus.SKIPPED, found=reason))
    return results


def _is_ok(finding: Finding) -> bool:
    return finding.verdict in (CheckStatus.OK, CheckStatus.WARN)


def _is_inapplicable(finding: Finding) -> bool:
    """Return whether a check had nothing to examine, although the checks that it needs have succeeded."""
    return finding.verdict is CheckStatus.SKIPPED and finding.found == NO_DATE_HEADER


def _document(finding: Finding) -> ProbeCheck:
    return ProbeCheck(
        name=finding.name,
        ok=_is_ok(finding),
        verdict=finding.verdict.value,
        detail=finding.found,
        advice="; ".join(finding.fix) or None,
    )
