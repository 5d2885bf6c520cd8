# SPDX-License-Identifier: Apache-2.0
"""The capabilities of upstream's MLflow: its version, and the queued calls that it lacks.

They are examined when the process starts, and again after upstream was unreachable or reports another version. Until
then, and if upstream reports no version, the newest MLflow is assumed, or the version that the settings state.
"""

import threading

from bridge.events import Observer, UpstreamExamined
from bridge.process.background import BackgroundThread
from bridge.upstream import Call, Unavailable, Upstream
from schemas.endpoints import OTLP_PATH, endpoint_of
from schemas.upstream_limits import NEWEST, limits_of
from schemas.write import Op

#: The interval at which upstream is asked for its version.
_EXAMINE_INTERVAL_S = 30.0
#: Queued calls that some supported MLflow servers lack.
_OPTIONAL_OPS = (
    Op.LOG_OUTPUTS,
    Op.DELETE_EXPERIMENT_TAG,
    Op.LINK_TRACES,
    Op.LINK_PROMPTS,
    Op.SET_TRACE_TAG,
    Op.DELETE_TRACE_TAG,
    Op.EXPORT_TRACES,
)
#: The statuses of a server that lacks a call.
_MISSING_CALL_STATUSES = frozenset({404, 405, 501})


class UpstreamCapabilities:
    """Examines upstream in a background thread. Its attributes may be read from any thread."""

    def __init__(self, upstream: Upstream, *, stated: str | None, observe: Observer, stopping: threading.Event) -> None:
        """``stated`` is the version from the settings. It decides the limits, even if upstream reports another."""
        self._upstream = upstream
        self._stated = stated
        self._observe = observe
        self._examined_version: str | None = None
        #: MLflow's limits on writes, for the version in force.
        self.limits = limits_of(stated) if stated else NEWEST
        #: The queued calls that upstream lacks.
        self.lacks: frozenset[Op] = frozenset()
        self._thread = BackgroundThread(
            "abilities", self.examine, interval_s=_EXAMINE_INTERVAL_S, observe=observe, stopping=stopping
        )

    @property
    def version(self) -> str | None:
        """The version that upstream reported last, or else the stated one."""
        return self._examined_version or self._stated

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def examine(self) -> None:
        """Read upstream's version. If it has changed, or upstream was unreachable, try the optional calls."""
        version = self._upstream.version()
        if version is None or not self._upstream.probe()["reachable"]:
            self._examined_version = None
            return
        if version == self._examined_version:
            return
        self.lacks = frozenset(op for op in _OPTIONAL_OPS if self._is_missing(op))
        self.limits = limits_of(self._stated or version)
        self._examined_version = version
        self._observe(UpstreamExamined(version=self._stated or version, lacks=",".join(sorted(self.lacks))))

    def _is_missing(self, op: Op) -> bool:
        """Return whether upstream responds as to an unknown path. An empty body changes nothing in MLflow."""
        endpoint = endpoint_of(op)
        path = endpoint.path.replace("{request_id}", "none").replace("{trace_id}", "none")
        headers = (("Content-Type", "application/json"),) if path == OTLP_PATH else ()
        call = Call(method=endpoint.method, path=path, body=b"{}", headers=headers, optional=True)
        outcome = self._upstream.send(call)
        return isinstance(outcome, Unavailable) and outcome.missing and outcome.status in _MISSING_CALL_STATUSES
