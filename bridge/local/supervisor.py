# SPDX-License-Identifier: Apache-2.0
"""Keeps child processes running, and stops every one of them."""

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

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
#: A child that has run for this long is taken to be well; its next restart is quick again.
_WELL_AFTER = 60.0
_TICK = 0.1


@dataclasses.dataclass(slots=True, kw_only=True)
class Child:
    """One process: how it is started, and how one can tell that it serves."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = dataclasses.field(repr=False)
    log: Path
    is_ready: Callable[[], bool]
    #: The directory in which the process runs; None for ours.
    directory: Path | None = None
    #: Children of a higher stage are stopped first, those of one stage together.
    stage: int = 0
    #: Descriptors that the process inherits.
    inherited: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause: float = _FIRST_PAUSE
    restart_at: float | None = None

    def start(self) -> None:
        """Start the process in a session of its own, so that a Ctrl-C in the terminal reaches only us."""
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
        """Tell the process to end, if it runs."""
        if self.process:
            self.process.terminate()

    def ends_before(self, end: float) -> bool:
        """Wait until the process has ended, but no longer than until this monotonic time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(max(0.0, end - time.monotonic()))
            return True
        return False

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, or raise ``subprocess.TimeoutExpired``."""
        if self.process:
            self.process.wait(timeout)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and all that it has started."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def last_lines(self, count: int = 12) -> str:
        """Return the end of the process's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Supervisor:
    """Runs children in the order in which they were added; stops them stage by stage."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[Child] = []
        self._stopping = False

    def add(self, child: Child) -> None:
        """Start one more child."""
        self._children.append(child)
        child.start()

    def stop_soon(self) -> None:
        """Make ``wait_ready`` and ``watch`` return; safe in a signal's receiver."""
        self._stopping = True

    def wait_ready(self, child: Child, *, timeout: float) -> bool:
        """Wait until the child serves. False: it ended, took too long, or we are told to stop."""
        end = time.monotonic() + timeout
        while not self._stopping and child.exit_status is None and time.monotonic() < end:
            if child.is_ready():
                return True
            time.sleep(_TICK)
        return False

    def watch(self) -> None:
        """Restart whatever dies, a little later each time, until told to stop."""
        while not self._stopping:
            for child in self._children:
                self._mend(child)
            time.sleep(_TICK)

    def _mend(self, child: Child) -> None:
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at:
                child.start()
            return
        if child.exit_status is None:
            return
        if now - child.started_at > _WELL_AFTER:
            child.pause = _FIRST_PAUSE
        self._say(f"{child.name} {_ending(child.exit_status)}; restarting it in {child.pause:g} s (log: {child.log})")
        # What it had started itself must not outlive it: it may hold the port or the files that the next one needs.
        child.signal_group(signal.SIGKILL)
        child.restart_at = now + child.pause
        child.pause = min(child.pause * 2, _LONGEST_PAUSE)

    def stop(self, *, grace: float) -> None:
        """Stop all children, the highest stage first; what has not ended within the stage's grace period is killed."""
        for stage in sorted({child.stage for child in self._children}, reverse=True):
            end = time.monotonic() + grace
            ending = [child for child in self._children if child.stage == stage and child.process]
            for child in ending:
                child.terminate()
            for child in ending:
                if not child.ends_before(end):
                    self._say(f"{child.name} has not ended within {grace:g} s and is killed")
                child.signal_group(signal.SIGKILL)
                child.wait()


def _ending(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _die_with_parent() -> None:
    """Have the kernel stop this process when its parent is gone, however that came (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
