# SPDX-License-Identifier: Apache-2.0
"""Notifications of the state of this process to a service manager: the protocol of sd_notify(3).

systemd sets ``NOTIFY_SOCKET`` for units with ``Type=notify``. The server processes of the api report that they listen,
so its unit needs ``NotifyAccess=all``.
"""

import logging
import socket

_LOG = logging.getLogger(__name__)


class ServiceNotification:
    """Sends states to the service manager; does nothing without one."""

    def __init__(self, address: str | None) -> None:
        """``address`` is the value of ``NOTIFY_SOCKET``: a path, or with ``@`` in front an abstract name."""
        self._address = address

    def ready(self) -> None:
        """Report that the process serves."""
        self._send(b"READY=1")

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
