# SPDX-License-Identifier: Apache-2.0
"""One version of the bridge, built from git, and its processes."""

import io
import signal
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Server, clean_environ, free_port, get_ok, process

ROOT = Path(__file__).parents[2]
#: The release before this version, with a store that this version reads. A newer tag replaces it.
_RECORDED_PREVIOUS = "c5f11a6"
_STOP_TIMEOUT_S = 20.0


@contextmanager
def together(*servers: Server) -> Iterator[None]:
    """Run servers that start at the same time; end those that still run."""
    try:
        for server in servers:
            server.child.start()
        for server in servers:
            server.wait_ready()
        yield
    finally:
        for server in servers:
            server.child.signal_group(signal.SIGTERM)
        for server in servers:
            with suppress(subprocess.TimeoutExpired):
                if server.child.process:
                    server.child.process.wait(_STOP_TIMEOUT_S)
            server.child.signal_group(signal.SIGKILL)


class RehearsalError(Exception):
    """The rehearsal can't run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A tree of the bridge. Its processes run with the packages of this interpreter."""

    name: str
    tree: Path
    environ: Mapping[str, str]
    logs: Path

    def api(self, label: str, settings: Mapping[str, str] | None = None) -> tuple[Server, str]:
        """Return an api process and its URL."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environ = self._environ() | {"BRIDGE_PORT": str(port)} | dict(settings or {})
        command = self.command("mlflow-bridge-api")
        return Server(process(f"api-{label}", command, environ, self.logs, lambda: get_ok(f"{url}/healthz"))), url

    def worker(self, label: str) -> Server:
        """Return a worker process, which is ready once its log says so."""

        def is_ready() -> bool:
            own = f'"process":{child.process.pid}' if child.process else "none"
            return any(" ready." in line and own in line for line in child.last_lines(200).splitlines())

        command = self.command("mlflow-bridge-worker")
        child = process(f"worker-{label}", command, self._environ(), self.logs, is_ready)
        return Server(child)

    def run(self, *arguments: str) -> str:
        """Run `mlflow-bridge` and return its output."""
        command = [*self.command("mlflow-bridge"), *arguments]
        done = subprocess.run(command, env=self._environ(), check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RehearsalError(
                f"{self.name}: mlflow-bridge {arguments[0]} ended with {done.returncode}: {done.stderr}"
            )
        return done.stdout

    def command(self, script: str) -> list[str]:
        """Return the command of a console script, as this tree declares it."""
        declared = tomllib.loads((self.tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        module, _, function = declared[script].partition(":")
        code = f"import sys; sys.argv[0] = {script!r}; from {module} import {function}; sys.exit({function}())"
        return [sys.executable, "-P", "-c", code]

    def _environ(self) -> dict[str, str]:
        return clean_environ() | dict(self.environ) | {"PYTHONPATH": str(self.tree)}


def previous() -> str:
    """Return the newest tag before HEAD, else the recorded commit."""
    described = _git("describe", "--tags", "--abbrev=0", "HEAD^", check=False)
    return described.decode().strip() or _RECORDED_PREVIOUS


def extract(commit: str, directory: Path) -> Path:
    """Write the tree of a commit to this directory and return it."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as archive:
        archive.extractall(directory, filter="data")
    return directory


def _git(*arguments: str, check: bool = True) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)
    if check and done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise RehearsalError(
            f"git {arguments[0]} failed: {reason}. A shallow clone lacks older commits: git fetch --unshallow"
        )
    return done.stdout
