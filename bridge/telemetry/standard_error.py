# SPDX-License-Identifier: Apache-2.0
"""A non-blocking writer for the log on standard error, which may be closed or have a slow reader."""

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

#: Bytes buffered for a reader that does not read. Further lines are dropped and counted.
_MAX_BUFFERED_BYTES = 8 << 20
#: How long the end of a process waits for buffered lines.
_EXIT_FLUSH_TIMEOUT_S = 1.0
_POLL_INTERVAL_S = 0.005


class Writer:
    """Writes to a file descriptor in order, in a background thread. `write` never blocks."""

    def __init__(self, descriptor: int, dropped_line: Callable[[int], str]) -> None:
        """``dropped_line`` returns the line that replaces this number of dropped lines."""
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._thread = BackgroundThread("log", self._write_all, runs_on_call=True)
        #: Bytes that are queued, and lines that were dropped since the last report of them.
        self._waiting_bytes = self._dropped_count = 0
        self._reset()
        atexit.register(self.flush)
        # A fork must not write its parent's buffered lines.
        os.register_at_fork(after_in_child=self._reset)

    def write(self, text: str) -> None:
        """Queue lines for writing, or drop them if the buffer is full."""
        encoded = text.encode(errors="backslashreplace")
        with self._lock:
            if self._waiting_bytes + len(encoded) > _MAX_BUFFERED_BYTES:
                self._dropped_count += text.count("\n")
                return
            self._enqueue(encoded)
        self._thread.call()

    def flush(self, timeout_s: float = _EXIT_FLUSH_TIMEOUT_S) -> None:
        """Wait until all queued lines are written, at most ``timeout_s``."""
        end = time.monotonic() + timeout_s
        while self._waiting_bytes and time.monotonic() < end:
            time.sleep(_POLL_INTERVAL_S)

    def _enqueue(self, encoded: bytes) -> None:
        self._texts.append(encoded)
        self._waiting_bytes += len(encoded)

    def _write_all(self) -> None:
        while self._texts:
            text = self._texts[0]
            # A failed write drops the text.
            with suppress(OSError):
                self._write(text)
            with self._lock:
                self._texts.popleft()
                self._waiting_bytes -= len(text)
                if self._dropped_count:
                    self._enqueue(self._dropped_line(self._dropped_count).encode())
                    self._dropped_count = 0

    def _write(self, text: bytes) -> None:
        unwritten = memoryview(text)
        while unwritten:
            try:
                unwritten = unwritten[os.write(self._descriptor, unwritten) :]
            except BlockingIOError:
                # Another process that shares the descriptor may have made it non-blocking.
                select.select([], [self._descriptor], [])

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._texts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped_count = 0


def ensure_standard_error(program: str) -> None:
    """Open the null device as standard error if it is closed. To be called before any file or socket is opened.

    Otherwise a socket would get descriptor 2, and a library's log lines might be written to it.
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
