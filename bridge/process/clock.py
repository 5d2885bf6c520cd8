# SPDX-License-Identifier: Apache-2.0
"""The port for the current time, which tests replace."""

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for timestamps, monotonic time for durations."""

    def now(self) -> dt.datetime:
        """Return the current time in UTC."""
        ...

    def monotonic(self) -> dt.timedelta:
        """Return a time that only grows, from an arbitrary start."""
        ...


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> dt.datetime:
        """Return the current time in UTC."""
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> dt.timedelta:
        """Return the time since an arbitrary start."""
        return dt.timedelta(seconds=time.monotonic())
