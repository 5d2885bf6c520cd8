# SPDX-License-Identifier: Apache-2.0
"""The server processes of the api: they are started, replaced if one dies, and stopped."""

import datetime as dt
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from api.shutdown import DRAIN_SIGNAL, STOP_SIGNAL
from bridge.errors import CannotStart

_LOG = logging.getLogger(__name__)

#: A replacement that ends earlier shows that further ones would end too.
_MIN_UPTIME_S = 5.0
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class ServerProcesses:
    """Runs the server processes until SIGTERM or SIGINT. Each has its own socket on the same port (SO_REUSEPORT)."""

    def __init__(self, host: str, port: int, *, count: int) -> None:
        """Take the address. Raises ``CannotStart`` for one that can't be used."""
        self._listeners = [_listener(host, port) for _ in range(count)]
        #: The processes by the number of their listener.
        self._processes: dict[int, _Process] = {}
        self._signals = _Signals()
        #: A pipe on which nothing is sent: its end shows the server processes that this one is gone.
        self._parent_pipe = os.pipe()

    def serve(
        self, *, on_stop: Callable[[], None], shutdown_delay: dt.timedelta, shutdown_timeout: dt.timedelta
    ) -> None:
        """Return once a stop is complete. Raises ``CannotStart`` if a process ends again and again.

        ``on_stop`` is called when the stop begins. For ``shutdown_delay`` or until a second signal, the processes still
        respond. Processes that then take longer than ``shutdown_timeout`` are killed.
        """
        self._signals.catch()
        try:
            for slot in range(len(self._listeners)):
                self._start(slot)
            while not self._signals.wait():
                self._replace_ended()
        finally:
            on_stop()
            self._send(DRAIN_SIGNAL)
            self._wait_until_ended(shutdown_delay)
            # The processes have copies. While these are open, new connections would wait for no one.
            for listener in self._listeners:
                listener.close()
            self._send(STOP_SIGNAL)
            self._wait_until_ended(shutdown_timeout, ends_on_signal=False)
            self._send(signal.SIGKILL)
            self._wait_until_ended(shutdown_timeout, ends_on_signal=False)

    def _start(self, slot: int, *, is_replacement: bool = False) -> None:
        descriptors = self._listeners[slot].fileno(), self._parent_pipe[0]
        # A new interpreter: the threads and connections of this one would not survive a fork.
        command = [sys.executable, "-P", "-m", "api.server.process", *map(str, descriptors)]
        started = subprocess.Popen(command, pass_fds=descriptors)  # noqa: S603 - a module of ours
        self._processes[slot] = _Process(started, time.monotonic(), is_replacement=is_replacement)

    def _replace_ended(self) -> None:
        for slot, ended in list(self._processes.items()):
            status = ended.child.poll()
            if status is None:
                continue
            _LOG.error("process_ended", extra={"fields": {"pid": ended.child.pid, "status": status}})
            if ended.is_replacement and time.monotonic() - ended.started_at < _MIN_UPTIME_S:
                raise CannotStart("a server process ends again and again; its log says why", retryable=True)
            self._start(slot, is_replacement=True)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.child.send_signal(number)

    def _wait_until_ended(self, timeout: dt.timedelta, *, ends_on_signal: bool = True) -> None:
        end = time.monotonic() + timeout.total_seconds()
        while self._close_ended():
            remaining = end - time.monotonic()
            if remaining <= 0 or (self._signals.wait(remaining) and ends_on_signal):
                return

    def _close_ended(self) -> bool:
        """Close the sockets of ended processes: no other takes their connections. Return whether any process lives."""
        ended = [slot for slot, process in self._processes.items() if process.child.poll() is not None]
        for slot in ended:
            self._listeners[slot].close()
        return len(ended) < len(self._processes)


@dataclass(frozen=True, slots=True)
class _Process:
    child: subprocess.Popen[bytes]
    #: On the monotonic clock.
    started_at: float
    is_replacement: bool


class _Signals:
    """Waits for the stop signals, and for the ends of processes."""

    def __init__(self) -> None:
        self._received, self._writer = socket.socketpair(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def catch(self) -> None:
        """Catch the signals from now on. Their handlers do nothing: Python writes the numbers to the socket."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return at the next signal or after the timeout: True if there was a stop signal."""
        select.select([self._received], [], [], timeout_s)
        numbers = b""
        with suppress(BlockingIOError):
            while arrived := self._received.recv(1024):
                numbers += arrived
        return not _STOP_SIGNALS.isdisjoint(numbers)


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that the process makes listen: until then, another api on this port gets all connections."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, protocol)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(address)
    except OSError as error:
        raise CannotStart(f"The api can't listen on {host}, port {port}: {error.strerror}.", retryable=True) from error
    return listener
