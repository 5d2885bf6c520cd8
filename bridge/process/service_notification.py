# SPDX-License-Identifier: Apache-2.0
"""Notifications of the state of this process to a service manager: the protocol of sd_notify(3).

systemd sets ``NOTIFY_SOCKET`` for units with ``Type=notify``. The server processes of the api report that they listen,
so its unit needs ``NotifyAccess=all``.
"""

import logging
import os
import socket
import threading
from pathlib import Path

from bridge.process.background import BackgroundThread

_LOG = logging.getLogger(__name__)
_POLL_INTERVAL_S = 0.02
_FILE_DESCRIPTORS = Path("/proc/self/fd")


class ServiceNotification:
    """Sends states to the service manager; does nothing without one."""

    def __init__(self, address: str | None) -> None:
        """``address`` is the value of ``NOTIFY_SOCKET``: a path, or with ``@`` in front an abstract name."""
        self._address = address

    def ready(self) -> None:
        """Report that the process serves."""
        self._send(b"READY=1")

    def ready_once_listening(self) -> None:
        """Report that the process serves as soon as it has a listening socket. Returns at once."""
        if not self._address:
            return
        is_reported = threading.Event()

        def report_if_listening() -> None:
            if _is_listening():
                self.ready()
                is_reported.set()

        BackgroundThread("readiness", report_if_listening, interval_s=_POLL_INTERVAL_S, stopping=is_reported).start()

    def stopping(self) -> None:
        """Report that the process has begun to stop."""
        self._send(b"STOPPING=1")

    def _send(self, state: bytes) -> None:
        if not self._address:
            return
        # A name that starts with a zero byte is in the abstract namespace (unix(7)).
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
                datagrams.sendto(state, address)
        except OSError as error:
            # The process serves all the same; the service manager ends it if it insists on a notification.
            _LOG.warning("service_not_notified", extra={"fields": {"state": state.decode(), "reason": str(error)}})


def _is_listening() -> bool:
    """Return whether a TCP socket of this process accepts connections."""
    return any(_accepts_connections(int(path.name)) for path in _FILE_DESCRIPTORS.iterdir())


def _accepts_connections(descriptor: int) -> bool:
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        # Closed since it was listed, such as the descriptor of the listing itself.
        return False
    try:
        with socket.socket(fileno=duplicate) as candidate:
            is_tcp = candidate.family in (socket.AF_INET, socket.AF_INET6) and candidate.type == socket.SOCK_STREAM
            return is_tcp and bool(candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        # Not a socket.
        os.close(duplicate)
        return False
