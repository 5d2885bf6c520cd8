# SPDX-License-Identifier: Apache-2.0
"""Breaks redis-py's connections under their calls, at moments that a seed decides."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import pytest
import redis
from redis.connection import AbstractConnection

from bridge.redis_store.scripts import Call, FinishedCalls, PipelinedScript, SentCalls

#: Seconds between two breaks, at most.
_LONGEST_PAUSE = 0.02


class Connections:
    """Every connection that redis-py makes from now on, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: WeakSet[Any] = WeakSet()
        self._lost: list[socket.socket] = []
        connect: Any = AbstractConnection.connect
        made = self._made

        def connect_and_note(connection: Any) -> Any:
            made.add(connection)
            return connect(connection)

        monkeypatch.setattr(AbstractConnection, "connect", connect_and_note)

    @contextmanager
    def breaking(self, killers: Sequence[Any], *, seed: int) -> Iterator[list[int]]:
        """Break them until the `with` ends; yields how many times so far.

        ``killers`` are clients, made before and one for each server, that have it close all connections but theirs.
        """
        random_ = random.Random(seed)  # noqa: S311 - it only chooses
        breaks, stop, failures = [0], threading.Event(), list[BaseException]()

        def go_on() -> None:
            try:
                while not stop.wait(random_.random() * _LONGEST_PAUSE):
                    self._break(random_, killers)
                    breaks[0] += 1
            except BaseException as error:  # noqa: BLE001 - it fails the test below
                failures.append(error)

        thread = threading.Thread(target=go_on, name="breaker", daemon=True)
        thread.start()
        try:
            yield breaks
        finally:
            stop.set()
            thread.join(30)
            for sock in self._lost:
                sock.close()
        assert not failures, failures

    def _break(self, random_: random.Random, killers: Sequence[Any]) -> None:
        if random_.random() < 0.05:
            with contextlib.suppress(redis.RedisError):
                random_.choice(killers).execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            return
        try:
            alive = [each for each in self._made if each._sock]  # noqa: SLF001 - sockets are what breaks
        except RuntimeError:  # one was made meanwhile
            return
        if alive:
            connection, way = random_.choice(alive), random_.choice((_shut, self._lose, self._disconnect))
            # It may have been closed meanwhile.
            with contextlib.suppress(AttributeError, OSError):
                way(connection)

    def _lose(self, connection: Any) -> None:
        """The first half of redis-py's own `disconnect`: the connection has no socket."""
        sock, connection._sock = connection._sock, None  # noqa: SLF001
        if sock is None:
            return
        # Closed later: its number would be the next socket's, while a caller still reads from it.
        self._lost.append(sock)
        sock.shutdown(socket.SHUT_RDWR)

    def _disconnect(self, connection: Any) -> None:
        """All of it: neither has its parser."""
        connection._parser.on_disconnect()  # noqa: SLF001
        self._lose(connection)


def _shut(connection: Any) -> None:
    """As a network does it: no byte comes or goes any more."""
    connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001


class _LosesResults(FinishedCalls):
    """Calls that take effect on a connection that breaks then."""

    def __init__(self, sent: SentCalls) -> None:
        super().__init__([])
        self._sent = sent

    def results(self) -> list[Any]:
        self._sent.results()
        raise redis.ConnectionError("the answers were lost")


def lose_first_results(script: PipelinedScript, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the connection of the first calls of a script after they took effect."""
    send, breaks = script.send, iter([True])

    def send_and_break_once(calls: Sequence[Call]) -> SentCalls:
        sent = send(calls)
        return _LosesResults(sent) if next(breaks, False) else sent

    monkeypatch.setattr(script, "send", send_and_break_once)
