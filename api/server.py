# SPDX-License-Identifier: Apache-2.0
"""Runs the api: the command ``mlflow-bridge-api``."""

import os
import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from bridge.bootstrap import build_api
from bridge.errors import InvalidSettings
from bridge.settings import read_settings

_MOST_CONNECTIONS = 20_000


def main() -> None:
    """Serve until told to stop. SIGTERM lets requests in flight finish."""
    try:
        settings = read_settings(os.environ)
        # Nothing is connected yet; what can't be built is better said here than by each server process.
        build_api(settings)
    except InvalidSettings as error:
        sys.exit(f"mlflow-bridge-api: {error}")
    # A WSGI environment holds the process's own: there, HTTP_PROXY would look like a header of every client.
    for name in [name for name in os.environ if name.startswith("HTTP_")]:
        del os.environ[name]
    Granian(
        "api.wsgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.api_processes,
        blocking_threads=settings.api_threads,
        # It counts connections, idle ones included: a small number would lock clients out that keep theirs open.
        backpressure=_MOST_CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(settings.stop_grace.total_seconds())),
    ).serve()
