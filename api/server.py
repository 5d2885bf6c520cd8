# SPDX-License-Identifier: Apache-2.0
"""Runs the api: the command ``mlflow-bridge-api``."""

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
from bridge.bootstrap.processes import build_api
from bridge.bootstrap.startup_checks import certificate_error, check_exposure, check_store, port_in_use
from bridge.config.environment import read_settings
from bridge.config.settings import Settings
from bridge.errors import CannotStart, InvalidSettings
from bridge.events import Observer
from bridge.process.background import BackgroundThread
from bridge.process.signals import SignalNotifier
from bridge.telemetry.logs import configure_logging
from bridge.telemetry.standard_error import ensure_standard_error

_MOST_CONNECTIONS = 20_000
#: What each of them may hold at most of a head that is not complete, in bytes.
_LONGEST_HEAD = 128 * 1024
#: How often it is looked whether there is a new certificate.
_LOOK = dt.timedelta(seconds=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Serve HTTP until told to stop: take writes in, and pass everything else on to upstream.

    After SIGTERM new writes are answered with 503, and requests in flight finish. The bridge is set by environment
    variables, of which BRIDGE_UPSTREAM and BRIDGE_STORE_URL are needed; `mlflow-bridge settings` lists them, and
    `mlflow-bridge doctor` says what is wrong with them.
    """
    ensure_standard_error("mlflow-bridge-api")
    try:
        settings = read_settings(os.environ)
        check_exposure(settings)
        # What can't be built, or must not be used, is better said here than by each server process.
        bridge = build_api(settings)
        check_store(bridge.outbox, _warn)
        if port_in_use(settings.host, settings.port):
            _warn(f"somebody listens on port {settings.port} already; he and this api share what comes in")
    except (InvalidSettings, CannotStart) as error:
        sys.exit(f"mlflow-bridge-api: {error}")
    configure_logging(settings.log_level)
    server = _server(settings, bridge.observe)
    bridge.report_threads()
    if settings.tls_cert_file and settings.tls_key_file:
        renewal = _Renewal((settings.tls_cert_file, settings.tls_key_file), server.signal_handler_reload)
        BackgroundThread("renewal", renewal.look, every=_LOOK.total_seconds(), observe=bridge.observe).start()
    server.serve()
    # Python gives signals their default back while it ends: a late one would make a clean stop look like a crash.
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
            header_read_timeout=round(settings.idle_timeout.total_seconds() * 1000), max_buffer_size=_LONGEST_HEAD
        ),
        websockets=False,
        ssl_cert=settings.tls_cert_file,
        ssl_key=settings.tls_key_file,
        ssl_protocol_min=SSLProtocols.tls12,
        workers=settings.api_processes,
        # It counts connections, idle ones included: a small number would lock clients out that keep theirs open.
        backpressure=_MOST_CONNECTIONS,
        respawn_failed_workers=True,
        # Below `info` it tells of each connection.
        log_level=LogLevels("info" if settings.log_level == "debug" else settings.log_level),
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
        workers_kill_timeout=max(1, round(settings.shutdown_timeout.total_seconds())),
    )
    server.follow_signals(observe, drain_delay=settings.shutdown_delay)
    return server


class _Server(MPServer):
    """Tells its server processes first, when it is told to stop, and goes on to serve for a while."""

    def follow_signals(self, observe: Observer, *, drain_delay: dt.timedelta) -> None:
        """Do what the server is told to, in threads; its own receivers take a lock."""
        self._drain_delay = drain_delay
        self._told_to_stop, self._told_to_reload = SignalNotifier(), SignalNotifier()
        self._told_to_reload.subscribe(super().signal_handler_reload, observe=observe)
        self._told_to_stop.subscribe(self._stop, observe=observe)

    def signal_handler_reload(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as it is overridden
        """Have new server processes take over."""
        self._told_to_reload.notify()

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Begin to drain; at a second signal, stop at once."""
        self._told_to_stop.notify()

    def _stop(self) -> None:
        # Those that were told to stop as well, with the whole process group, must not be followed by new ones.
        self.respawn_failed_workers = False
        for worker in list(self.wrks):
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, DRAIN_SIGNAL)
        self._told_to_stop.wait(self._drain_delay)
        stop: Callable[[], None] = super().signal_handler_interrupt
        stop()


class _Renewal:
    """Has new server processes take over, one after the other, when the certificate on disk is another."""

    def __init__(self, files: tuple[Path, ...], reload: Callable[[], Any]) -> None:
        self._files = files
        self._reload = reload
        self._seen = self._refused = self._state()

    def look(self) -> None:
        """Look at the files, and take them up if they are others and fit."""
        now = self._state()
        # Two files are not replaced in one moment: they are taken once both have stood still, and belong together.
        if now in (self._seen, self._refused) or now != self._still():
            return
        if _fit(*self._files):
            self._reload()
            self._seen = now
        else:
            self._refused = now

    def _still(self) -> list[float]:
        time.sleep(_LOOK.total_seconds() / 2)
        return self._state()

    def _state(self) -> list[float]:
        return [_changed_at(path) for path in self._files]


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _fit(certificate: Path, key: Path) -> bool:
    reason = certificate_error(certificate, key)
    if reason:
        _warn(f"the new certificate is not taken up: {reason}")
    return reason is None


def _warn(text: str) -> None:
    sys.stderr.write(f"mlflow-bridge-api: warning: {text}\n")
