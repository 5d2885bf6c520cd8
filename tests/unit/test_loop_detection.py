# SPDX-License-Identifier: Apache-2.0
"""The name by which a bridge knows its own requests: its own, the same in all its processes, and nobody's to guess."""

import re

import fakeredis
import pytest

from bridge.redis_store.instance_key import RedisInstanceId
from bridge.upstream.loop_detection import format_via, parse_via
from tests.fakes import FakeStore

NAME = "mlflow-bridge-0123456789abcdef"


def test_processes_of_one_store_have_one_name_and_others_another() -> None:
    store, other = FakeStore(), FakeStore()

    names = [RedisInstanceId(client).name() for client in (store, store, other)]

    assert names[0] == names[1] != names[2]
    assert all(re.fullmatch(r"mlflow-bridge-[0-9a-f]{16}", str(name)) for name in names)


def test_a_store_that_is_away_is_asked_again_after_a_while() -> None:
    server, now = fakeredis.FakeServer(version=(7,)), [100.0]
    instance_id = RedisInstanceId(FakeStore(server=server), monotonic=lambda: now[0])

    server.connected = False
    away = instance_id.name()
    server.connected = True
    too_soon = instance_id.name()
    now[0] += 3
    later = instance_id.name()

    assert (away, too_soon) == (None, None), "nobody waits for it each time"
    assert later == instance_id.known is not None


@pytest.mark.parametrize(
    ("via", "names"),
    [
        ([format_via([NAME])], [NAME]),
        (["1.1 proxy, 1.0 fred", f"1.1 gateway (x), {format_via([NAME, NAME])}"], [NAME, NAME]),
        ([format_via([NAME]).upper(), f"1.1 {NAME}0", f"1.1 {NAME[:-1]}", NAME, "", ",,"], []),
        ([format_via([NAME] * 100)], [NAME] * 16),
    ],
)
def test_of_whom_a_request_came_through_only_bridges_count(via: list[str], names: list[str]) -> None:
    assert parse_via(via) == names
