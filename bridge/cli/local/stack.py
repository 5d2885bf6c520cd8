# SPDX-License-Identifier: Apache-2.0
"""Local stack: the processes of ``mlflow-bridge up`` on one machine.

Starts a store and an `mlflow server` unless settings name others, then the api and the workers, and supervises them.
"""

import contextlib
import errno
import fcntl
import os
import re
import signal
import socket
import ssl
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge.bootstrap.processes import Api, build_api
from bridge.bootstrap.startup_checks import check_exposure, check_store
from bridge.cli.local.servers import MLFLOW_ENVIRON, mlflow_command, store_command
from bridge.cli.local.supervisor import Child, Supervisor
from bridge.config.environment import read_settings
from bridge.config.settings import Settings, masked
from bridge.errors import EX_CONFIG, CannotStart, StoreUnavailable

#: Prints a line for the user.
Echo = Callable[[str], None]

#: Below the limit on the path of a Unix socket: 107 bytes on Linux (unix(7)), 103 on macOS.
_MAX_SOCKET_PATH = 100
_START_TIMEOUT_S = 120.0
#: Arguments of the curl command in the greeting.
_CREATE_RUN = """/api/2.0/mlflow/runs/create -H 'Content-Type: application/json' -d '{"experiment_id":"0"}'"""


def up(environ: Mapping[str, str], echo: Echo) -> None:
    """Run the stack until SIGINT or SIGTERM. Raises ``CannotStart`` or ``InvalidSettings``."""
    local_store, local_upstream = not environ.get("BRIDGE_STORE_URL"), not environ.get("BRIDGE_UPSTREAM")
    data_dir = Path(environ.get("BRIDGE_DATA_DIR") or ".data").resolve()
    with _locked(data_dir) as lock, _socket_path(data_dir) as socket_path:
        settings = _settings(environ, socket_path)
        bridge = build_api(settings)
        if not local_store:
            check_store(bridge.outbox, echo)
        port = settings.port or _free_port(settings.host)
        _bind_once(settings.host, port)
        supervisor = Supervisor(echo)
        _handle_stop_signals(lambda *_: supervisor.stop_soon())
        children = _Children(environ, settings, data_dir, port)
        try:
            if local_store:
                store = children.store(socket_path, lock)
                supervisor.add(store)
                _wait_ready(supervisor, store, echo)
            # All others start in parallel: the api accepts writes while upstream is still starting.
            others = [*children.workers(), children.api(), *([children.upstream()] if local_upstream else [])]
            for child in others:
                supervisor.add(child)
            for child in others:
                _wait_ready(supervisor, child, echo)
            _print_greeting(bridge, data_dir, port, echo)
            supervisor.watch()
        except _Stopped:
            pass
        finally:
            echo("stopping: deliveries in flight are completed, pending writes stay in the store")
            supervisor.stop(grace=settings.shutdown_timeout.total_seconds())
            _finish_shutdown(echo)


def _finish_shutdown(echo: Echo) -> None:
    echo("stopped")
    # Python restores default signal handlers while it exits: a second Ctrl-C would look like a crash.
    _handle_stop_signals(signal.SIG_IGN)


def _handle_stop_signals(handler: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


class _Stopped(Exception):
    """A stop signal arrived during the start."""


class _Children:
    """Builds the child processes of the stack."""

    def __init__(self, environ: Mapping[str, str], settings: Settings, data_dir: Path, port: int) -> None:
        self._settings = settings
        self._data = data_dir
        self._port = port
        self._logs = data_dir / "logs"
        self._logs.mkdir(exist_ok=True)
        # Only the api decrypts the secrets of clients.
        self._secrets = {name: environ[name] for name in ("BRIDGE_ENCRYPTION_KEYS",) if name in environ}
        self._environ = {
            **{name: value for name, value in environ.items() if name not in self._secrets},
            "BRIDGE_STORE_URL": settings.store_url,
            "BRIDGE_UPSTREAM": settings.upstream,
            "BRIDGE_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }

    def store(self, socket_path: Path, lock: int) -> Child:
        """Return the store: a Valkey or Redis server that syncs each write to disk before it responds.

        ``lock`` is the descriptor of the lock on the data directory.
        """
        return self._child(
            "store",
            store_command(self._data / "store", socket_path),
            lambda: _store_responds(self._settings),
            # The store inherits the lock on its data, so that the lock outlives a killed supervisor.
            inherited=(lock,),
        )

    def upstream(self) -> Child:
        """Return upstream: an MLflow server with its data beside the store's."""
        port = int(self._settings.upstream.rpartition(":")[2])
        command = mlflow_command(self._data / "mlflow", port)
        child = self._child("upstream", command, lambda: _responds(f"{self._settings.upstream}/health"))
        child.environ = {**child.environ, **MLFLOW_ENVIRON}
        child.directory = self._data / "mlflow"
        child.stage = 1
        return child

    def api(self) -> Child:
        """Return the api process."""
        url = _api_url(self._settings, self._port)
        child = self._child("api", [_script("mlflow-bridge-api")], lambda: _responds(f"{url}/healthz"), stage=3)
        child.environ = {**child.environ, **self._secrets}
        return child

    def workers(self) -> list[Child]:
        """Return the worker processes. They need no readiness probe, because the store keeps their work."""
        return [
            self._child(f"worker-{number}", [_script("mlflow-bridge-worker")], lambda: True, stage=2)
            for number in range(1, self._settings.worker_processes + 1)
        ]

    def _child(self, name: str, command: list[str], is_ready: Callable[[], bool], **extra: Any) -> Child:  # noqa: ANN401
        return Child(
            name=name,
            command=command,
            environ=self._environ,
            log=self._logs / f"{name}.log",
            is_ready=is_ready,
            **extra,
        )


def _wait_ready(supervisor: Supervisor, child: Child, echo: Echo) -> None:
    if supervisor.wait_ready(child, timeout=_START_TIMEOUT_S):
        echo(f"{child.name:<10} ready after {time.monotonic() - child.started_at:.1f} s")
    elif child.exit_status is not None or time.monotonic() - child.started_at >= _START_TIMEOUT_S:
        raise CannotStart(
            f"{child.name} did not start. The end of its log, {child.log}:\n{child.last_lines()}",
            retryable=child.exit_status != EX_CONFIG,
        )
    else:
        raise _Stopped


def _settings(environ: Mapping[str, str], socket_path: Path) -> Settings:
    """Read the settings. The local store and upstream are the defaults."""
    settings = read_settings(
        environ,
        store_url=f"unix://{socket_path}",
        upstream=f"http://127.0.0.1:{_free_port('127.0.0.1')}",
    )
    check_exposure(settings)
    return settings


def _print_greeting(bridge: Api, data_dir: Path, port: int, echo: Echo) -> None:
    settings, probe = bridge.settings, bridge.upstream.probe()
    upstream = masked(settings.upstream)
    if not probe["reachable"]:
        echo(
            f"Upstream {upstream} does not answer as expected ({probe['reason']})."
            " Writes are accepted and stay pending. Check BRIDGE_UPSTREAM, the network and the AWS credentials."
        )
    url = _api_url(settings, port)
    auth = '-H "Authorization: Bearer $KEY" ' if settings.auth else ""
    key = f"  a key     BRIDGE_STORE_URL={masked(settings.store_url)} mlflow-bridge keys create NAME\n" if auth else ""
    echo(
        f"""
MLflow Bridge serves {url}
  upstream  {upstream}
  portal    {url}/app
  data      {data_dir}  (store, logs; delete it to start over)
{key}  try       curl {auth}{url}{_CREATE_RUN}
  or        MLFLOW_TRACKING_URI={url} python your_training.py
  stop      Ctrl-C
"""
    )


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    """Lock the data directory, so that two stores never write to the same files."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o700)
    except OSError as error:
        raise CannotStart(
            f"{data_dir} can't be used for data ({error.strerror}): set BRIDGE_DATA_DIR to another directory."
        ) from error
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotStart(
                f"{data_dir} is in use by another MLflow Bridge (process {lock.read().strip() or 'unknown'}):"
                " stop that one, or set BRIDGE_DATA_DIR to another directory.",
                retryable=True,
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


@contextmanager
def _socket_path(data_dir: Path) -> Iterator[Path]:
    """Yield the path of the store's socket: in the data directory, or in a temporary one if that path is unusable."""
    path = data_dir / "store.sock"
    if len(str(path)) <= _MAX_SOCKET_PATH and re.fullmatch(r"[\w./ -]+", str(path), re.ASCII):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mlflow-bridge-") as directory:
        yield Path(directory) / "store.sock"


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


def _store_responds(settings: Settings) -> bool:
    with contextlib.suppress(StoreUnavailable):
        return bool(build_api(settings).outbox.durability().level)
    return False


def _responds(url: str) -> bool:
    with contextlib.suppress(OSError, urllib.error.URLError):
        # Without the proxy of the environment, and without verification: this probe of a local child sends no secret,
        # and the certificate is for the name that clients use.
        unverified = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())  # noqa: S323, SLF001
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), unverified)
        return bool(direct.open(url, timeout=1).status == 200)
    return False


def _api_url(settings: Settings, port: int) -> str:
    # An address that stands for all addresses of the machine is reached at loopback.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not bound
    scheme = "https" if settings.tls_cert_file else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _free_port(host: str) -> int:
    return _bind_once(host, 0)


def _bind_once(host: str, port: int) -> int:
    """Bind the port and release it. Returns its number, or raises ``CannotStart``."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"{host}:{port} can't be listened on ({error.strerror}): set BRIDGE_PORT to another port, or to 0 for"
                " any free one; BRIDGE_HOST must be an address of this machine.",
                retryable=error.errno == errno.EADDRINUSE,
            ) from error
        return int(probe.getsockname()[1])
