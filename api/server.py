# SPDX-License-Identifier: Apache-2.0
"""The command ``mlflow-bridge-api``: runs the server processes of the api."""

import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from api.shutdown import DRAIN_SIGNAL
from bridge.bootstrap.embedded_metrics import start_embedded_metrics
from bridge.bootstrap.processes import build_api
from bridge.bootstrap.startup_checks import certificate_error, check_exposure, check_store, port_in_use
from bridge.config.environment import read_settings
from bridge.config.settings import Settings
from bridge.errors import CannotStart, InvalidSettings
from bridge.events import Observer
from bridge.operations.series import SAMPLE_INTERVAL
from bridge.process.background import BackgroundThread
from bridge.process.service_notification import ServiceNotification
from bridge.process.signals import SignalNotifier
from bridge.process.start_failure import exit_with
from bridge.telemetry.logs import configure_logging
from bridge.telemetry.standard_error import ensure_standard_error

_MAX_CONNECTIONS = 20_000
#: The longest head of a request.
_MAX_HEAD_BYTES = 128 * 1024
_CERTIFICATE_CHECK_INTERVAL = dt.timedelta(seconds=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Serve the HTTP api: queue writes, and forward all other calls to upstream.

    After SIGTERM, new writes get a 503 and requests in progress finish. Environment variables configure the bridge;
    BRIDGE_UPSTREAM and BRIDGE_STORE_URL are required. `mlflow-bridge settings` lists them, and `mlflow-bridge doctor`
    checks them.
    """
    ensure_standard_error("mlflow-bridge-api")
    try:
        settings = read_settings(os.environ)
        check_exposure(settings)
        # An error is reported once here, and not by each server process.
        bridge = build_api(settings)
        check_store(bridge.outbox, _warn)
        if port_in_use(settings.host, settings.port):
            _warn(f"another process listens on port {settings.port}; it and this api share the connections")
    except (InvalidSettings, CannotStart) as error:
        exit_with(error, program="mlflow-bridge-api")
    configure_logging(settings.log_level)
    server = _server(settings, bridge.observe)
    bridge.report_threads()
    if settings.tls_cert_file and settings.tls_key_file:
        watcher = _CertificateWatcher((settings.tls_cert_file, settings.tls_key_file), server.signal_handler_reload)
        BackgroundThread(
            "certificate", watcher.check, interval_s=_CERTIFICATE_CHECK_INTERVAL.total_seconds(), observe=bridge.observe
        ).start()
    BackgroundThread(
        "gauges", bridge.operations.sample_gauges, interval_s=SAMPLE_INTERVAL.total_seconds(), observe=bridge.observe
    ).start()
    start_embedded_metrics(bridge)
    server.on_stop(ServiceNotification(os.environ.get("NOTIFY_SOCKET")).stopping)
    server.serve()
    # Python restores the default handlers while it ends: a late signal would make a clean stop look like a crash.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _server(settings: Settings, observe: Observer) -> "_Server":
    server = _Server(
        "api.asgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(settings.idle_timeout.total_seconds() * 1000), max_buffer_size=_MAX_HEAD_BYTES
        ),
        websockets=False,
        ssl_cert=settings.tls_cert_file,
        ssl_key=settings.tls_key_file,
        ssl_protocol_min=SSLProtocols.tls12,
        workers=settings.api_processes,
        # Idle connections are included: a small number would lock out clients that keep theirs open.
        backpressure=_MAX_CONNECTIONS,
        respawn_failed_workers=True,
        # At `debug` it logs each connection.
        log_level=LogLevels("info" if settings.log_level == "debug" else settings.log_level),
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
        workers_kill_timeout=max(1, round(settings.shutdown_timeout.total_seconds())),
    )
    server.follow_signals(observe, drain_delay=settings.shutdown_delay)
    return server


class _Server(MPServer):
    """Sends the drain signal to its server processes before it stops them."""

    def follow_signals(self, observe: Observer, *, drain_delay: dt.timedelta) -> None:
        """Handle signals in threads, because the handlers of the base class take a lock."""
        self._drain_delay = drain_delay
        self._on_stop: Callable[[], None] = lambda: None
        self._stop_signal, self._reload_signal = SignalNotifier(), SignalNotifier()
        self._reload_signal.subscribe(super().signal_handler_reload, observe=observe)
        self._stop_signal.subscribe(self._stop, observe=observe)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Set what is called once a stop begins."""
        self._on_stop = callback

    def signal_handler_reload(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as it is overridden
        """Replace the server processes by new ones."""
        self._reload_signal.notify()

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Begin to drain. A second signal ends the delay."""
        self._stop_signal.notify()

    def _stop(self) -> None:
        self._on_stop()
        # Processes that got the signal themselves, with the whole process group, must not be replaced.
        self.respawn_failed_workers = False
        for worker in list(self.wrks):
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, DRAIN_SIGNAL)
        self._stop_signal.wait(self._drain_delay)
        stop: Callable[[], None] = super().signal_handler_interrupt
        stop()


class _CertificateWatcher:
    """Restarts the server processes one by one when the certificate on disk has changed."""

    def __init__(self, files: tuple[Path, ...], reload: Callable[[], Any]) -> None:
        self._files = files
        self._reload = reload
        #: The times of the files that were last loaded, and of those that were last found invalid.
        self._loaded_mtimes = self._rejected_mtimes = self._read_mtimes()

    def check(self) -> None:
        """Load the files if they have changed and match."""
        mtimes = self._read_mtimes()
        # Two files are never replaced at once, so they are loaded when neither changes any more and they match.
        if mtimes in (self._loaded_mtimes, self._rejected_mtimes) or mtimes != self._read_mtimes_after_pause():
            return
        if _is_loadable(*self._files):
            self._reload()
            self._loaded_mtimes = mtimes
        else:
            self._rejected_mtimes = mtimes

    def _read_mtimes_after_pause(self) -> list[float]:
        time.sleep(_CERTIFICATE_CHECK_INTERVAL.total_seconds() / 2)
        return self._read_mtimes()

    def _read_mtimes(self) -> list[float]:
        return [_mtime(path) for path in self._files]


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_loadable(certificate: Path, key: Path) -> bool:
    """Return whether certificate and key are valid and match. Warn if they are not."""
    reason = certificate_error(certificate, key)
    if reason:
        _warn(f"the new certificate is not loaded: {reason}")
    return reason is None


def _warn(text: str) -> None:
    sys.stderr.write(f"mlflow-bridge-api: warning: {text}\n")
