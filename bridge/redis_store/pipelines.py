# SPDX-License-Identifier: Apache-2.0
"""Commands that go to one server in one round trip. redis-py's own pipeline takes twice the CPU time for each."""

from collections.abc import Sequence
from typing import Any

import redis
from hiredis import pack_command
from redis.cluster import RedisCluster

#: Longer commands are sent one at a time: the timeout of the connection is for each, and none is copied once more.
_MAX_JOINED_BYTES = 256 * 1024


Command = tuple[Any, ...]


def run(client: Any, commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401 - see RedisOutbox
    """Return the results of commands, in one round trip, or raise the first error."""
    if isinstance(client, RedisCluster):
        cluster: Any = client
        pipeline = cluster.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())
    results = SentCommands(client, commands).results()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


class SentCommands:
    """Commands that were sent on one connection of the pool, which they keep until their end.

    Exactly one of the methods is called, once.
    """

    def __init__(self, client: Any, commands: Sequence[Command]) -> None:  # noqa: ANN401 - see RedisOutbox
        """``client`` is that of one server."""
        self._pool = client.connection_pool
        self._count = len(commands)
        self._connection = connection = self._pool.get_connection()
        try:
            connection.send_packed_command(_packed(commands), check_health=False)
            #: The descriptor that becomes readable with the results.
            self.descriptor = _descriptor(connection)
            #: The longest time that the server has for the first result.
            self.timeout_s: float = connection.socket_timeout
        except BaseException:
            self.abandon()
            raise

    def results(self) -> list[Any]:
        """Return the result of each command, or the error of one that failed by itself."""
        try:
            results = [_read_result(self._connection) for _ in range(self._count)]
        except BaseException:
            self.abandon()
            raise
        self._pool.release(self._connection)
        return results

    def abandon(self) -> None:
        """Close the connection, on which the results are still to arrive."""
        # Its next commands would take them for theirs.
        try:
            self._connection.disconnect()
        finally:
            self._pool.release(self._connection)


def _packed(commands: Sequence[Command]) -> list[bytes]:
    packed = [pack_command(command) for command in commands]
    return packed if sum(map(len, packed)) > _MAX_JOINED_BYTES else [b"".join(packed)]


def _descriptor(connection: Any) -> int:  # noqa: ANN401 - redis-py's connections share no typed base
    # redis-py has no public name for the socket of a connection.
    socket = connection._sock  # noqa: SLF001
    descriptor: int = socket.fileno() if socket else -1
    if descriptor < 0:
        raise redis.ConnectionError("the connection was closed while it was in use")
    return descriptor


def _read_result(connection: Any) -> Any:  # noqa: ANN401 - as the command returns
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
