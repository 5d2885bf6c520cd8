# SPDX-License-Identifier: Apache-2.0
"""How long a lane waits after an attempt that did not get through."""

import datetime as dt

from tenacity import RetryCallState, Retrying, wait_random_exponential

_FIRST = dt.timedelta(milliseconds=500)
_LONGEST = dt.timedelta(seconds=60)
_JITTERED = wait_random_exponential(multiplier=_FIRST.total_seconds(), max=_LONGEST.total_seconds())


def backoff(attempts: int, retry_after: dt.timedelta | None = None) -> dt.timedelta:
    """Return a random wait between nothing and a bound that doubles with each attempt, up to a minute.

    Full jitter spreads lanes that failed together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    Upstream's own ``Retry-After`` is a lower bound: coming back earlier would be refused again.
    """
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = max(1, attempts)
    jittered = dt.timedelta(seconds=_JITTERED(state))
    return max(jittered, retry_after) if retry_after else jittered
