# SPDX-License-Identifier: Apache-2.0
"""One server process: it builds the application, serves it, and stops on a signal."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

import uvloop

from api.app import BridgeApp
from api.composition import create_app
from api.server.certificate import CertificateWatcher, server_context
from api.server.http_server import HttpServer
from api.shutdown import STOP_SIGNAL, refuse_writes_on_signal
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from bridge.config.settings import Settings
from bridge.events import Observer
from bridge.process.service_notification import ServiceNotification
from bridge.telemetry.logs import configure_logging


def main() -> None:
    """Serve the api until the stop signal, or until the parent process is gone.

    The arguments are two descriptors: of the socket that listens, and of a pipe that the parent process holds open.
    """
    listener, parent_pipe = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    # Each process of a group gets these. The parent process signals when to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    settings = read_settings(os.environ)
    configure_logging(settings.log_level)
    bridge = build_api(settings)
    refuse_writes_on_signal(bridge.stopping, bridge.observe)
    bridge.report_threads()
    app = create_app(bridge)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, settings, listener, parent_pipe, bridge.observe))


async def _serve(
    app: BridgeApp, settings: Settings, listener: socket.socket, parent_pipe: int, observe: Observer
) -> None:
    loop, is_stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(STOP_SIGNAL, is_stopping.set)

    def stop_without_parent() -> None:
        loop.remove_reader(parent_pipe)
        is_stopping.set()

    loop.add_reader(parent_pipe, stop_without_parent)
    app.start()
    server = HttpServer(app, idle_timeout=settings.idle_timeout)
    await server.start(listener, _tls(settings, loop, observe))
    ServiceNotification(os.environ.get("NOTIFY_SOCKET")).ready()
    await is_stopping.wait()
    await server.stop()
    await app.close()


def _tls(settings: Settings, loop: asyncio.AbstractEventLoop, observe: Observer) -> ssl.SSLContext | None:
    if not (settings.tls_cert_file and settings.tls_key_file):
        return None
    context = server_context(settings.tls_cert_file, settings.tls_key_file)

    async def load(certificate: Path, key: Path) -> None:
        context.load_cert_chain(certificate, key, password="")

    def load_on_loop(certificate: Path, key: Path) -> None:
        # The event loop uses the context, so no other thread may change it.
        asyncio.run_coroutine_threadsafe(load(certificate, key), loop).result()

    CertificateWatcher(settings.tls_cert_file, settings.tls_key_file, load_on_loop).start(observe)
    return context


if __name__ == "__main__":
    main()
