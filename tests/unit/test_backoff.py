# SPDX-License-Identifier: Apache-2.0
"""How long a lane waits: full jitter under a bound that doubles, and never less than upstream asks for."""

import datetime as dt
import random

import pytest

from bridge.delivery.deliverer import backoff

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("attempts", "bound"),
    [(-1, 0.5), (0, 0.5), (1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (1000, 60), (10**9, 60)],
)
def test_waits_are_spread_over_all_of_a_bound_that_doubles_up_to_a_minute(attempts: int, bound: float) -> None:
    random.seed(1)

    waits = [backoff(attempts) / SECOND for _ in range(400)]

    assert min(waits) >= 0
    assert max(waits) <= bound
    assert [round(sum(low <= wait / bound < low + 0.25 for wait in waits) / 100) for low in (0, 0.25, 0.5, 0.75)] == [
        1
    ] * 4


@pytest.mark.parametrize("attempts", [1, 5, 100])
@pytest.mark.parametrize("retry_after", [61 * SECOND, 3600 * SECOND])
def test_a_longer_retry_after_is_obeyed(attempts: int, retry_after: dt.timedelta) -> None:
    assert backoff(attempts, retry_after) == retry_after


@pytest.mark.parametrize("retry_after", [dt.timedelta(), SECOND, 30 * SECOND])
def test_a_shorter_retry_after_is_a_lower_bound(retry_after: dt.timedelta) -> None:
    waits = [backoff(20, retry_after) for _ in range(100)]

    assert min(waits) >= retry_after
    assert max(waits) <= 60 * SECOND
    assert len(set(waits)) > 10
