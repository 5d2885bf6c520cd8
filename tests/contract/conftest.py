# SPDX-License-Identifier: Apache-2.0
"""The store's adapters over Valkey, the one in memory and, with ``--full``, a cluster and the oldest Redis."""

import datetime as dt
from typing import Any

import pytest

from bridge.redis_store.client import disconnect
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.drain_log import RedisDrainLog
from bridge.redis_store.outbox import RedisOutbox, connect
from tests.amounts import amount
from tests.fakes import FakeStore
from tests.servers import Server

RETENTION = dt.timedelta(hours=1)
PATIENCE = dt.timedelta(seconds=5)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Not as parameters of the fixture: pytest may read this file before it knows of --full.
    if "client" in metafunc.fixturenames:
        stores = amount(["valkey", "fakeredis"], ["valkey", "redis", "cluster", "fakeredis"])
        metafunc.parametrize("client", stores, indirect=True)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Any:
    return client_of(request.param, request)


def client_of(kind: str, request: pytest.FixtureRequest) -> Any:
    """An empty store of this kind."""
    if kind == "fakeredis":
        return FakeStore()
    if kind == "cluster":
        url: str = request.getfixturevalue("redis_cluster")
    elif kind == "redis":
        url = request.getfixturevalue("oldest_redis")
    else:
        server: tuple[Server, str] = request.getfixturevalue("redis_server")
        url = server[1]
    # Each outbox that a test makes keeps a connection for its thread.
    client = connect(url, timeout=PATIENCE, connections=200)
    request.addfinalizer(lambda: disconnect(client, in_use=True))
    client.flushall()
    return client


@pytest.fixture
def outbox(client: Any) -> RedisOutbox:
    return RedisOutbox(client, retention=RETENTION, idempotency_ttl=RETENTION)


@pytest.fixture
def letters(client: Any) -> RedisDeadLetters:
    return RedisDeadLetters(client, fate_ttl=RETENTION)


@pytest.fixture
def log(client: Any) -> RedisDrainLog:
    return RedisDrainLog(client)
