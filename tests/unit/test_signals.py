# SPDX-License-Identifier: Apache-2.0
"""Each notification wakes one wait, at once or later."""

import datetime as dt
import os
import signal
import threading

from bridge.process.signals import SignalNotifier

MOMENT = dt.timedelta(milliseconds=1)
LONG = dt.timedelta(seconds=20)


def test_each_notification_wakes_one_wait_even_a_later_one() -> None:
    notifier = SignalNotifier()
    notifier.notify()
    notifier.notify()

    assert [notifier.wait(LONG), notifier.wait(LONG), notifier.wait(MOMENT)] == [True, True, False]


def test_a_subscriber_is_called_for_each_notification() -> None:
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


def test_a_handler_interrupted_by_itself_never_deadlocks() -> None:
    notifier = SignalNotifier()
    before = signal.signal(signal.SIGUSR2, notifier.notify)
    try:
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert notifier.wait(LONG)
