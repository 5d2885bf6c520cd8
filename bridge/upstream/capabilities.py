# SPDX-License-Identifier: Apache-2.0
"""Knows what upstream's MLflow can do: its version, and which of the queued calls it does not have.

Both are found out when the process starts, and again after upstream was away or says another version. Until then, and
where upstream does not say it, it is taken for today's MLflow.
"""

import threading

from bridge.events import Observer, UpstreamExamined
from bridge.process.background import BackgroundThread
from bridge.upstream import Call, Unavailable, Upstream
from schemas.endpoints import OTLP_PATH, endpoint_of
from schemas.upstream_limits import NEWEST, limits_of
from schemas.write import Op

#: How often, in seconds, upstream is asked for its version.
_PERIOD = 30.0
#: Queued calls that some MLflow server does not have, though SageMaker offers it or it runs as people run it.
_YOUNG = (
    *(Op.LOG_OUTPUTS, Op.DELETE_EXPERIMENT_TAG, Op.LINK_TRACES, Op.LINK_PROMPTS),
    *(Op.SET_TRACE_TAG, Op.DELETE_TRACE_TAG, Op.EXPORT_TRACES),
)
#: How a server answers a call that it does not have.
_NOT_FOUND = frozenset({404, 405, 501})


class UpstreamCapabilities:
    """Asks upstream, in a thread that `start` begins. What it knows may be read from any thread."""

    def __init__(self, upstream: Upstream, *, stated: str | None, observe: Observer, stopping: threading.Event) -> None:
        """``stated`` is the version that the operator says, for an upstream that does not say it."""
        self._upstream = upstream
        self._stated = stated
        self._observe = observe
        self._known: str | None = None
        self.limits = limits_of(stated) if stated else NEWEST
        self.lacks: frozenset[Op] = frozenset()
        self._thread = BackgroundThread("abilities", self.look, every=_PERIOD, observe=observe, stopping=stopping)

    def start(self) -> None:
        """Look now, and from time to time."""
        self._thread.start()

    def look(self) -> None:
        """Ask upstream for its version, and try its calls if it is another one or was away."""
        version = self._upstream.version()
        if version is None or not self._upstream.probe()["reachable"]:
            self._known = None
            return
        if version == self._known:
            return
        self.lacks = frozenset(op for op in _YOUNG if self._is_missing(op))
        self.limits = limits_of(self._stated or version)
        self._known = version
        self._observe(UpstreamExamined(version=self._stated or version, lacks=",".join(sorted(self.lacks))))

    def _is_missing(self, op: Op) -> bool:
        """Return whether upstream answers as to an unknown path. An empty object changes nothing anywhere."""
        endpoint = endpoint_of(op)
        path = endpoint.path.replace("{request_id}", "none").replace("{trace_id}", "none")
        headers = (("Content-Type", "application/json"),) if path == OTLP_PATH else ()
        call = Call(method=endpoint.method, path=path, body=b"{}", headers=headers, optional=True)
        outcome = self._upstream.send(call)
        return isinstance(outcome, Unavailable) and outcome.missing and outcome.status in _NOT_FOUND
