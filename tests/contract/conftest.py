# SPDX-License-Identifier: Apache-2.0
"""The outbox over a real Redis and over the one in memory that unit tests use: one suite proves both."""

import datetime as dt
from typing import Any

import fakeredis
import pytest

from bridge.redis_outbox import RedisOutbox, connect
from tests.servers import Server

RETENTION = dt.timedelta(hours=1)


@pytest.fixture(params=["redis", "fakeredis"])
def client(request: pytest.FixtureRequest) -> Any:
    if request.param == "fakeredis":
        return fakeredis.FakeRedis(version=(7,))
    server: tuple[Server, str] = request.getfixturevalue("redis_server")
    client = connect(server[1], timeout=dt.timedelta(seconds=5), connections=8)
    client.flushall()
    return client


@pytest.fixture
def outbox(client: Any) -> RedisOutbox:
    return RedisOutbox(client, retention=RETENTION, idempotency_ttl=RETENTION)
