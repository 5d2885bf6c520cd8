# SPDX-License-Identifier: Apache-2.0
"""Usage: what several processes count together, over each kind of store."""

import datetime as dt
from typing import Any

import pytest

from bridge.redis_store import keys
from bridge.redis_store.usage import RedisUsageStore
from schemas.usage import UsagePeriod

HOUR, DAY = UsagePeriod.HOUR, UsagePeriod.DAY
#: Some hours of two days, of which none has expired.
TODAY = DAY.begin(dt.datetime.now(dt.UTC))
LATE, EARLY = TODAY - dt.timedelta(hours=1), TODAY
DAYS = [TODAY - dt.timedelta(days=1), TODAY]
COUNTS = {"requests": 3, "writes": 2, "bytes": 2**40, "prompt_tokens": 7, "prompt_tokens/chat/é": 7}


@pytest.fixture
def usage(client: Any) -> RedisUsageStore:
    return RedisUsageStore(client)


def test_processes_count_together_by_hour_and_by_day(usage: RedisUsageStore, client: Any) -> None:
    usage.add({(LATE, "a"): COUNTS, (EARLY, "a"): {"requests": 1}, (EARLY, "oidc:b|c"): {"requests": 5}})
    RedisUsageStore(client).add({(LATE, "a"): COUNTS})

    twice = {name: 2 * number for name, number in COUNTS.items()}
    assert usage.read(["a", "oidc:b|c", "none"], HOUR, [LATE, EARLY]) == {
        "a": {LATE: twice, EARLY: {"requests": 1}},
        "oidc:b|c": {EARLY: {"requests": 5}},
        "none": {},
    }
    assert usage.read(["a"], DAY, DAYS) == {"a": {DAYS[0]: twice, DAYS[1]: {"requests": 1}}}
    assert usage.read(["a"], DAY, DAYS[1:]) == {"a": {DAYS[1]: {"requests": 1}}}


def test_hours_are_kept_for_eight_days_and_days_for_thirteen_months(usage: RedisUsageStore, client: Any) -> None:
    usage.add({(LATE, "a"): COUNTS})

    kept = {period: client.expiretime(keys.usage(period, period.begin(LATE), "a")) for period in UsagePeriod}
    assert kept[HOUR] >= (LATE + dt.timedelta(days=8)).timestamp()
    assert kept[DAY] >= (DAYS[0] + dt.timedelta(days=396)).timestamp()
    assert kept[HOUR] < (LATE + dt.timedelta(days=9)).timestamp()


def test_clients_are_listed_by_name_while_they_have_usage(usage: RedisUsageStore) -> None:
    old = LATE - dt.timedelta(days=2)
    usage.add({(LATE, "b"): {"requests": 1}, (old, "a"): {"requests": 1}})
    usage.add({(old, "b"): {"requests": 1}, (EARLY, "c"): {"requests": 1}})

    assert usage.clients(old) == ["a", "b", "c"]
    assert usage.clients(LATE + dt.timedelta(minutes=59)) == ["b", "c"]
    usage.add({(EARLY + dt.timedelta(days=397), "z"): {"requests": 1}})
    assert "a" not in usage.clients(old)


def test_the_tokens_of_a_day_are_those_of_prompts_and_completions(usage: RedisUsageStore) -> None:
    assert usage.tokens("a", TODAY) == 0

    usage.add({(EARLY, "a"): {"prompt_tokens": 7, "completion_tokens": 5}, (LATE, "a"): {"prompt_tokens": 100}})
    usage.add({(EARLY + dt.timedelta(hours=3), "a"): {"completion_tokens": 1}, (EARLY, "b"): {"prompt_tokens": 100}})

    assert usage.tokens("a", TODAY) == 13


def test_more_hashes_than_one_round_trip_reads_are_all_read(usage: RedisUsageStore) -> None:
    names = [f"c{number:03}" for number in range(40)]
    hours = [EARLY - dt.timedelta(hours=number) for number in range(150)]
    usage.add({(EARLY, name): {"requests": 1} for name in names})

    assert usage.read(names, HOUR, hours) == {name: {EARLY: {"requests": 1}} for name in names}
