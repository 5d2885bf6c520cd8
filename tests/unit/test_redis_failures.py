# SPDX-License-Identifier: Apache-2.0
"""What redis-py raises while a connection dies is the store's failure. What the bridge does wrong is not."""

import socket
from typing import Any, cast

import pytest
import redis
from redis.connection import Connection

from bridge.dispatch.redis_failures import is_redis_failure
from bridge.errors import StoreUnavailable
from bridge.redis_store.client import store_errors


@pytest.fixture
def connection() -> Any:
    ours, theirs = socket.socketpair()
    connection: Any = cast("Any", Connection)()
    connection._sock = ours  # noqa: SLF001 - what dies is its socket
    connection._parser.on_connect(connection)  # noqa: SLF001
    yield connection
    theirs.close()
    connection.disconnect()


def test_a_socket_that_is_gone_in_the_middle_of_a_call_is_the_stores_failure(connection: Any) -> None:
    connection._parser.on_disconnect()  # noqa: SLF001 - as another thread's disconnect does it

    with pytest.raises(StoreUnavailable, match=r"AttributeError|TypeError|ConnectionError"), store_errors():
        connection.read_response()


def test_an_error_of_the_socket_below_redis_py_is_the_stores_failure() -> None:
    closed = socket.socket()
    closed.close()

    with pytest.raises(OSError, match="descriptor") as raised:
        closed.makefile().read()
    assert not is_redis_failure(raised.value)

    scope: dict[str, Any] = {"__name__": "redis.connection", "sock": closed}
    exec("def send():\n    sock.sendall(b'x')\ndef file():\n    sock.makefile().read()", scope)  # noqa: S102 - stands for redis-py
    for call in (scope["send"], scope["file"]):
        with pytest.raises(StoreUnavailable, match="OSError"), store_errors():
            call()


def test_a_defect_of_ours_surfaces() -> None:
    nothing: Any = None

    for defect in (lambda: nothing.decode, lambda: int("x"), lambda: nothing + 1, lambda: open("/nowhere/at/all")):  # noqa: PTH123, SIM115
        with pytest.raises((AttributeError, ValueError, TypeError, OSError)), store_errors():
            defect()

    def answer(_: Any) -> None:
        raise TypeError("a defect that redis-py calls")

    scope: dict[str, Any] = {"__name__": "redis.client", "answer": answer}
    exec("def call():\n    answer(None)", scope)  # noqa: S102
    with pytest.raises(TypeError, match="a defect"), store_errors():
        scope["call"]()


def test_wrong_arguments_are_a_defect_of_ours() -> None:
    client: Any = redis.Redis()

    with pytest.raises((AttributeError, TypeError)), store_errors():
        client.zadd("key", 7)


def test_what_is_no_dying_connections_surfaces_even_from_redis_py() -> None:
    scope: dict[str, Any] = {"__name__": "redis.client"}
    exec("def call():\n    raise KeyError", scope)  # noqa: S102

    with pytest.raises(KeyError), store_errors():
        scope["call"]()


def test_the_driver_of_the_broker_counts_where_it_is_named() -> None:
    scope: dict[str, Any] = {"__name__": "kombu.transport.redis"}
    exec("def call():\n    None.client", scope)  # noqa: S102

    with pytest.raises(AttributeError) as raised:
        scope["call"]()

    assert is_redis_failure(raised.value, "kombu")
    assert not is_redis_failure(raised.value)
