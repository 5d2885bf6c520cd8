# SPDX-License-Identifier: Apache-2.0
"""Values that are kept for a short time, so that those who ask often cost little more than one."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from bridge.process.clock import Clock

Value = TypeVar("Value")


class RecentValues(Generic[Value]):
    """Values by key, read again once they are too old. Several threads may use it; two may read a value at once."""

    def __init__(self, clock: Clock, *, max_age: dt.timedelta, max_count: int) -> None:
        """``max_age`` counts from the moment at which the reading began."""
        self._clock = clock
        self._max_age = max_age
        self._max_count = max_count
        #: When the reading of a value began, and the value; what was added first is removed first.
        self._kept: OrderedDict[Hashable, tuple[dt.timedelta, Value]] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """Return the value of a key: a kept one, or what ``read`` returns. Nothing is kept if it raises."""
        # One look-up in one dictionary: other threads may remove the entry or replace the dictionary at any time.
        kept, now = self._kept, self._clock.monotonic()
        if found := kept.get(key):
            began_at, value = found
            if now - began_at < self._max_age:
                return value
        value = read()
        kept[key] = (now, value)
        while len(kept) > self._max_count:
            kept.popitem(last=False)
        return value

    def forget(self) -> None:
        """Keep nothing from before this call, including what is being read now."""
        self._kept = OrderedDict()
