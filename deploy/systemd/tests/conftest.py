# SPDX-License-Identifier: Apache-2.0
"""A booted systemd with the bridge installed by ``install.sh``, and an upstream on loopback."""

import http.server
import os
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import pytest
from machine import MOUNTED_UNITS, Machine, missing_requirement, store_program

STORE_URL = "unix:///run/mlflow-bridge-store/socket"


@dataclass
class Upstream:
    """An MLflow that accepts every call. Runs for as long as the `with` lasts."""

    #: The body of each write, in the order of arrival.
    received: queue.Queue[bytes] = field(default_factory=queue.Queue)
    #: While it is clear, writes are received but not answered.
    answering: threading.Event = field(default_factory=threading.Event)
    _server: http.server.ThreadingHTTPServer = field(init=False, repr=False)

    def __enter__(self) -> Self:
        upstream = self
        self.answering.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                # Not the worker's question which calls upstream has: its body is empty.
                if b"run_id" in body:
                    upstream.received.put(body)
                    upstream.answering.wait(timeout=60)
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


@dataclass(frozen=True)
class Host:
    """A machine with an installed bridge."""

    machine: Machine
    upstream: Upstream
    port: int

    def configure(self, **settings: str) -> None:
        """Write the settings of api and workers."""
        values = {
            "BRIDGE_UPSTREAM": self.upstream.url,
            "BRIDGE_STORE_URL": STORE_URL,
            "BRIDGE_PORT": str(self.port),
            "BRIDGE_SHUTDOWN_DELAY": "1ms",
            **settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in values.items() if value)
        self.machine.write("/etc/mlflow-bridge/bridge.env", text)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted systemd, in which ``install.sh`` ran once."""
    if reason := missing_requirement():
        pytest.skip(reason)
    with Machine() as machine:
        # Any server with the same protocol will do, under the name that the unit starts.
        program = store_program()
        assert program
        machine.run("cp", "--remove-destination", os.path.realpath(program), "/usr/bin/valkey-server")
        machine.run(MOUNTED_UNITS / "install.sh")
        yield machine


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    """A running store and an upstream; nothing else runs before or after."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Upstream() as upstream:
        host = Host(machine, upstream, port)
        host.configure()
        machine.run("systemctl", "start", "mlflow-bridge-store.service")
        yield host
        machine.run("systemctl", "stop", "mlflow-bridge.target", "mlflow-bridge-store.service")
        machine.attempt("systemctl", "reset-failed")
        machine.run("sh", "-c", "rm -rf /var/lib/mlflow-bridge-store /etc/systemd/system/mlflow-bridge-*.service.d")
        machine.run("systemctl", "daemon-reload")
