# SPDX-License-Identifier: Apache-2.0
"""Runs the api: the command ``mlflow-bridge-api``."""

import datetime as dt
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.mp import MPServer

from api.draining import DRAIN_SIGNAL
from bridge.bootstrap import build_api, check_exposure, check_store
from bridge.errors import CannotStart, InvalidSettings
from bridge.settings import read_settings

_MOST_CONNECTIONS = 20_000


def main() -> None:
    """Serve until told to stop. After SIGTERM new writes are answered with 503, and requests in flight finish."""
    try:
        settings = read_settings(os.environ)
        check_exposure(settings)
        # What can't be built, or must not be used, is better said here than by each server process.
        check_store(build_api(settings).outbox, _warn)
    except (InvalidSettings, CannotStart) as error:
        sys.exit(f"mlflow-bridge-api: {error}")
    server = _Server(
        "api.asgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        ssl_cert=settings.tls_certificate,
        ssl_key=settings.tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
        workers=settings.api_processes,
        # It counts connections, idle ones included: a small number would lock clients out that keep theirs open.
        backpressure=_MOST_CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(settings.stop_grace.total_seconds())),
    )
    server.drain_delay = settings.drain_delay
    server.serve()


class _Server(MPServer):
    """Tells its server processes first, when it is told to stop, and goes on to serve for a while."""

    drain_delay = dt.timedelta()
    _draining = False

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as it is overridden
        """Begin to drain; at a second signal, stop at once."""
        stop: Callable[[], None] = super().signal_handler_interrupt
        if self._draining:
            stop()
            return
        self._draining = True
        for worker in self.wrks:
            os.kill(worker.inner.pid, DRAIN_SIGNAL)
        threading.Timer(self.drain_delay.total_seconds(), stop).start()


def _warn(text: str) -> None:
    sys.stderr.write(f"mlflow-bridge-api: warning: {text}\n")
