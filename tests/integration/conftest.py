# SPDX-License-Identifier: Apache-2.0
"""The api in this process, over a real Redis, in front of a real MLflow whose door can be made to fail."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from werkzeug.test import Client

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.redis_store.outbox import connect
from tests.asgi_client import client_of
from tests.servers import Server
from tests.signature_front import SignatureFront


@pytest.fixture
def front(mlflow_url: str) -> Iterator[SignatureFront]:
    """MLflow without signatures, behind a door that can be made to fail."""
    with SignatureFront(mlflow_url, check=None) as front:
        yield front


@pytest.fixture
def environ(redis_server: tuple[Server, str], front: SignatureFront) -> dict[str, str]:
    """Settings of a bridge before an empty store."""
    url = redis_server[1]
    connect(url, timeout=dt.timedelta(seconds=5), connections=1).flushall()
    return {
        "BRIDGE_STORE_URL": url,
        "BRIDGE_UPSTREAM": front.url,
        "BRIDGE_CONNECT_TIMEOUT": "1s",
        "BRIDGE_READ_TIMEOUT": "3s",
        "BRIDGE_PROXY_TIMEOUT": "3s",
        "BRIDGE_MAX_BODY_SIZE": "64KiB",
        "BRIDGE_API_THREADS": "4",
    }


@pytest.fixture
def api(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ))


@pytest.fixture
def http_with(environ: dict[str, str]) -> Iterator[Callable[[dict[str, str]], Client]]:
    """A client of a bridge with further settings."""
    with ExitStack() as stack:
        yield lambda further: stack.enter_context(client_of(build_api(read_settings(environ | further))))


@pytest.fixture
def http(api: Api) -> Iterator[Client]:
    with client_of(api) as client:
        yield client
