# SPDX-License-Identifier: Apache-2.0
"""Graceful shutdown of a server process: after the drain signal it rejects new writes and stops waiting."""

import signal
import threading

from bridge.events import Observer
from bridge.process.signals import SignalNotifier

#: Sent by the parent process. Its default is to be ignored, so a process that is still starting survives it.
DRAIN_SIGNAL = signal.SIGURG
#: Sent by the parent process after the delay. A SIGTERM to the whole process group must not end it.
STOP_SIGNAL = signal.SIGUSR1


class ShuttingDown(Exception):
    """The process is shutting down. Another one accepts the write, or this one after its restart."""


def refuse_writes_on_signal(stopping: threading.Event, observe: Observer) -> None:
    """Set the event on the drain signal. Must be called in the main thread."""
    notifier = SignalNotifier()
    notifier.subscribe(stopping.set, observe=observe)
    signal.signal(DRAIN_SIGNAL, notifier.notify)
