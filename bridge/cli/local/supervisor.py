# SPDX-License-Identifier: Apache-2.0
"""Process supervisor: starts child processes, restarts those that end, and stops them all."""

import contextlib
import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bridge.errors import EX_CONFIG, CannotStart

_MIN_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0
#: A child that has run for this long is healthy; its next restart has the shortest backoff again.
_HEALTHY_AFTER_S = 60.0
_POLL_INTERVAL_S = 0.1


@dataclasses.dataclass(slots=True, kw_only=True)
class Child:
    """One child process: its command, environment and readiness probe."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = dataclasses.field(repr=False)
    log: Path
    is_ready: Callable[[], bool]
    #: The working directory; None: that of the supervisor.
    directory: Path | None = None
    #: Shutdown order: higher stages first, the children of one stage together.
    stage: int = 0
    #: File descriptors that the process inherits.
    inherited: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    backoff_s: float = _MIN_BACKOFF_S
    restart_at: float | None = None

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environ),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.inherited,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self.started_at = time.monotonic()
        self.restart_at = None

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs or has never been started."""
        return self.process.poll() if self.process else None

    def terminate(self) -> None:
        """Send SIGTERM if the process was started."""
        if self.process:
            self.process.terminate()

    def ends_before(self, end: float) -> bool:
        """Wait for the process until this monotonic time. Return whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(max(0.0, end - time.monotonic()))
            return True
        return False

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the process to end. Raises ``subprocess.TimeoutExpired``."""
        if self.process:
            self.process.wait(timeout)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and its descendants."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def last_lines(self, count: int = 12) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Supervisor:
    """Starts children in the order of ``add`` and stops them stage by stage."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._children: list[Child] = []
        self._stopping = False

    def add(self, child: Child) -> None:
        """Start a child and supervise it."""
        self._children.append(child)
        child.start()

    def stop_soon(self) -> None:
        """Make ``wait_ready`` and ``watch`` return. Safe in a signal handler."""
        self._stopping = True

    def wait_ready(self, child: Child, *, timeout: float) -> bool:
        """Wait until the child is ready. False: it has ended, the time is over, or the supervisor stops."""
        end = time.monotonic() + timeout
        while not self._stopping and child.exit_status is None and time.monotonic() < end:
            if child.is_ready():
                return True
            time.sleep(_POLL_INTERVAL_S)
        return False

    def watch(self) -> None:
        """Restart children that end, with exponential backoff, until ``stop_soon`` is called.

        Raises ``CannotStart`` for a child with settings that can't work: its next process would end as well.
        """
        while not self._stopping:
            for child in self._children:
                self._restart_if_ended(child)
            time.sleep(_POLL_INTERVAL_S)

    def _restart_if_ended(self, child: Child) -> None:
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at:
                child.start()
            return
        if child.exit_status is None:
            return
        if child.exit_status == EX_CONFIG:
            raise CannotStart(
                f"{child.name} can't work with its settings. The end of its log, {child.log}:\n{child.last_lines()}"
            )
        if now - child.started_at > _HEALTHY_AFTER_S:
            child.backoff_s = _MIN_BACKOFF_S
        status = _describe_exit(child.exit_status)
        self._echo(f"{child.name} {status}; restarting it in {child.backoff_s:g} s (log: {child.log})")
        # Its own children may still hold the port or the files that the next process needs.
        child.signal_group(signal.SIGKILL)
        child.restart_at = now + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, _MAX_BACKOFF_S)

    def stop(self, *, grace: float) -> None:
        """Stop all children, the highest stage first. Kills those that run longer than ``grace`` seconds per stage."""
        for stage in sorted({child.stage for child in self._children}, reverse=True):
            end = time.monotonic() + grace
            ending = [child for child in self._children if child.stage == stage and child.process]
            for child in ending:
                child.terminate()
            for child in ending:
                if not child.ends_before(end):
                    self._echo(f"{child.name} has not stopped within {grace:g} s and is killed")
                child.signal_group(signal.SIGKILL)
                child.wait()


def _describe_exit(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _die_with_parent() -> None:
    """Make the kernel stop this process when its parent ends for any reason (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
