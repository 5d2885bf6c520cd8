# SPDX-License-Identifier: Apache-2.0
"""The command ``mlflow-bridge-api``: runs the server processes of the api."""

import os
import signal
import sys

import click

from api.server.processes import ServerProcesses
from bridge.bootstrap.embedded_metrics import start_embedded_metrics
from bridge.bootstrap.processes import build_api
from bridge.bootstrap.startup_checks import check_exposure, check_store, port_in_use
from bridge.config.environment import read_settings
from bridge.errors import CannotStart, InvalidSettings
from bridge.operations.series import SAMPLE_INTERVAL
from bridge.process.background import BackgroundThread
from bridge.process.service_notification import ServiceNotification
from bridge.process.start_failure import exit_with
from bridge.telemetry.logs import configure_logging
from bridge.telemetry.standard_error import ensure_standard_error


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
        processes = ServerProcesses(settings.host, settings.port, count=settings.api_processes)
    except (InvalidSettings, CannotStart) as error:
        exit_with(error, program="mlflow-bridge-api")
    configure_logging(settings.log_level)
    bridge.report_threads()
    BackgroundThread(
        "gauges", bridge.operations.sample_gauges, interval_s=SAMPLE_INTERVAL.total_seconds(), observe=bridge.observe
    ).start()
    start_embedded_metrics(bridge)
    try:
        processes.serve(
            on_stop=ServiceNotification(os.environ.get("NOTIFY_SOCKET")).stopping,
            shutdown_delay=settings.shutdown_delay,
            shutdown_timeout=settings.shutdown_timeout,
        )
    except CannotStart as error:
        exit_with(error, program="mlflow-bridge-api")
    finally:
        # Python restores the default handlers while it ends: a late signal would make a clean stop look like a crash.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _warn(text: str) -> None:
    sys.stderr.write(f"mlflow-bridge-api: warning: {text}\n")
