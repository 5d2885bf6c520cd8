# SPDX-License-Identifier: Apache-2.0
"""A notifier is heard once for each ring, by whoever listens, then or later."""

import datetime as dt
import os
import signal
import threading

from bridge.process.signals import SignalNotifier

MOMENT = dt.timedelta(milliseconds=1)
LONG = dt.timedelta(seconds=20)


def test_each_ring_is_heard_once_even_if_nobody_listens_yet() -> None:
    notifier = SignalNotifier()
    notifier.notify()
    notifier.notify()

    assert [notifier.wait(LONG), notifier.wait(LONG), notifier.wait(MOMENT)] == [True, True, False]


def test_a_thread_hears_each_ring() -> None:
    notifier, heard, done = SignalNotifier(), [], threading.Event()

    def hear() -> None:
        heard.append(threading.current_thread())
        if len(heard) == 3:
            done.set()

    notifier.subscribe(hear)
    for _ in range(3):
        notifier.notify()

    assert done.wait(20)
    assert threading.main_thread() not in heard


def test_a_receiver_that_is_interrupted_again_and_again_rings_each_time() -> None:
    notifier = SignalNotifier()
    before = signal.signal(signal.SIGUSR2, notifier.notify)
    try:
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert notifier.wait(LONG)
