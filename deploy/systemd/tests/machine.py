# SPDX-License-Identifier: Apache-2.0
"""A systemd of its own: booted in namespaces, on a copy-on-write view of this machine, with a shared network."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[3]
UNITS = ROOT / "deploy" / "systemd"
#: Where the booted systemd sees the repository.
MOUNTED_UNITS = Path("/srv/mlflow-bridge/deploy/systemd")
SYSTEMD = Path("/lib/systemd/systemd")
_BOOT_TIMEOUT_S = 60
# An installation on a busy machine.
_COMMAND_TIMEOUT_S = 480


def missing_requirement() -> str | None:
    """Return what this host lacks to boot a systemd, None if nothing."""
    if os.geteuid() != 0:
        return "only root can boot a systemd in namespaces"
    if not SYSTEMD.exists() or not shutil.which("nsenter"):
        return "systemd or util-linux is not installed"
    if not store_program():
        return "no valkey-server or redis-server is installed"
    options = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--propagation", "private"]
    with tempfile.TemporaryDirectory() as directory:
        attempt = subprocess.run(
            ["unshare", *options, "mount", "-t", "cgroup2", "cgroup2", directory],
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_TIMEOUT_S,
        )
    return f"namespaces or cgroup2 are not allowed here: {attempt.stderr.strip()}" if attempt.returncode else None


def store_program() -> str | None:
    """Return the path of a Valkey or Redis server that supports systemd's readiness protocol."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


@dataclass
class Machine:
    """Runs for as long as the `with` lasts. Ending its first process ends all of its processes."""

    _directory: str = field(init=False, repr=False)
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)
    _pid: int = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="mlflow-bridge-boot-")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            # An abstract address, which belongs to the shared network.
            address = f"mlflow-bridge-boot-{os.getpid()}"
            ready.bind(f"\0{address}")
            ready.settimeout(_BOOT_TIMEOUT_S)
            command = ["unshare", "--mount", "--propagation", "private", UNITS / "tests" / "boot.sh"]
            self._process = subprocess.Popen(
                [*command, self._directory, ROOT],
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": f"@{address}"},
                stdout=subprocess.DEVNULL,
            )
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
            except TimeoutError:
                self.__exit__()
                raise
        (unshare,) = _children(self._process.pid)
        (self._pid,) = _children(unshare)
        return self

    def __exit__(self, *_: object) -> None:
        for unshare in _children(self._process.pid):
            for pid in _children(unshare):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=_COMMAND_TIMEOUT_S)
        Path(self._directory).rmdir()

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start a command inside, as root."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self._pid), "-m", "-p", "-u", "-i", "-C", "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def attempt(self, *command: str | Path) -> tuple[int, str]:
        """Run a command inside; return its exit status and its output."""
        with self.start(*command) as process:
            output, errors = process.communicate(timeout=_COMMAND_TIMEOUT_S)
        return process.returncode, output + errors

    def run(self, *command: str | Path) -> str:
        """Run a command inside that must succeed; return its output."""
        status, output = self.attempt(*command)
        assert status == 0, f"{command}: {output[-3000:]}\n{self.log()}"
        return output.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text)

    def log(self) -> str:
        """Return the end of the journal."""
        return self.attempt("journalctl", "--no-pager", "--lines=40", "--output=cat")[1]

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit."""
        output = self.run("systemctl", "show", unit, f"--property={','.join(names)}")
        return dict(line.split("=", 1) for line in output.splitlines())


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
