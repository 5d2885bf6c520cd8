# SPDX-License-Identifier: Apache-2.0
"""Connects to the store, with the time that may be spent on it, and translates its errors."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.errors import StoreUnavailable


def connect(url: str, *, timeout: dt.timedelta, connections: int) -> redis.Redis:
    """Return a client that gives up on a command after ``timeout``. Nothing is sent before the first command.

    redis-py would retry ten times by default and so make a client wait for seconds; here the caller decides.
    """
    seconds = timeout.total_seconds()
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds / 2,
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        retry=Retry(NoBackoff(), 0),
        max_connections=connections,
    )


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise ``StoreUnavailable`` for whatever goes wrong between us and Redis."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
