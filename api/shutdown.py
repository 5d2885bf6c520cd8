# SPDX-License-Identifier: Apache-2.0
"""How a server process learns that it will stop: from then on it takes no new writes, and waits for nothing."""

import signal
import threading

from bridge.events import Observer
from bridge.process.signals import SignalNotifier

#: Sent by the process that manages them. Ignored by default, so one that is still starting survives it.
DRAIN_SIGNAL = signal.SIGURG


class ShuttingDown(Exception):
    """The bridge is about to stop; another one, or this one after its start, takes the write."""


def refuse_writes_on_signal(stopping: threading.Event, observe: Observer) -> None:
    """Set the event when the signal comes. To be called in the main thread."""
    notifier = SignalNotifier()
    notifier.subscribe(stopping.set, observe=observe)
    signal.signal(DRAIN_SIGNAL, notifier.notify)
