# SPDX-License-Identifier: Apache-2.0
"""Standard error as a place for the log: no thread waits for whoever reads it, and it may be closed."""

import atexit
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bridge.process.background import BackgroundThread

#: So many bytes wait at most for a reader that does not read. What comes beyond that is dropped, and counted.
_MOST = 8 << 20
#: How long, in seconds, the end of a process waits for what has not been written.
_AT_END = 1.0


class Writer:
    """Writes to a file descriptor in a thread of its own, in order. `write` never waits."""

    def __init__(self, descriptor: int, lost: Callable[[int], str]) -> None:
        """``lost`` returns the line that stands for so many lines that were dropped."""
        self._descriptor = descriptor
        self._lost = lost
        self._thread = BackgroundThread("log", self._write_all, called=True)
        self._dropped = self._waiting = 0
        self._empty()
        atexit.register(self.flush)
        # A fork has no part in what its parent still has to write.
        os.register_at_fork(after_in_child=self._empty)

    def write(self, text: str) -> None:
        """Have these lines written, or drop them where too much waits already."""
        written = text.encode(errors="backslashreplace")
        with self._changing:
            if self._waiting + len(written) > _MOST:
                self._dropped += text.count("\n")
                return
            self._append(written)
        self._thread.call()

    def flush(self, seconds: float = _AT_END) -> None:
        """Wait until all is written, for so many seconds at most."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            time.sleep(0.005)

    def _append(self, written: bytes) -> None:
        self._texts.append(written)
        self._waiting += len(written)

    def _write_all(self) -> None:
        while self._texts:
            text = self._texts[0]
            # What can't be written down stops nothing.
            with suppress(OSError):
                self._write(text)
            with self._changing:
                self._texts.popleft()
                self._waiting -= len(text)
                if self._dropped:
                    self._append(self._lost(self._dropped).encode())
                    self._dropped = 0

    def _write(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                # Whoever shares it may have made it so.
                select.select([], [self._descriptor], [])

    def _empty(self) -> None:
        self._changing = threading.Lock()
        self._texts: deque[bytes] = deque()
        self._waiting = 0
        self._dropped = 0


def ensure_standard_error(program: str) -> None:
    """Give the process a standard error if it was started without; to be called before any file or socket is opened.

    Else its descriptor would become that of a socket, and the log of a library might go there.
    """
    if sys.stderr is not None:
        return
    descriptor = os.open(os.devnull, os.O_WRONLY)
    if descriptor != 2 and not _is_open(2):
        os.dup2(descriptor, 2)
        os.close(descriptor)
        descriptor = 2
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no name
    sys.stderr = os.fdopen(descriptor, "w", buffering=1, closefd=False)
    if sys.stdout is not None:
        sys.stdout.write(f"{program}: warning: standard error is closed, so the log is dropped\n")
        sys.stdout.flush()


def _is_open(descriptor: int) -> bool:
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
