# SPDX-License-Identifier: Apache-2.0
"""Loads the Lua scripts for the adapters of the store. Each file of ``lua/`` is one command.

The head of a script documents its keys, arguments and result. A line ``--- @include name`` stands for the file
``lua/include/name.lua``. A script that frees memory begins with ``#!lua flags=allow-oom``: the store runs it even when
it is full. docs/adr/0019-the-store-is-redis-7-or-valkey.md
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from hiredis import pack_command
from redis.cluster import RedisCluster
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)
#: Keys that an interrupted self-test leaves behind expire after this time.
_SELF_TEST_TTL_MS = 10_000

#: Longer commands are sent one at a time: the timeout of the connection is for each, and none is copied once more.
_MAX_JOINED_BYTES = 256 * 1024

#: The keys and the arguments of one call.
Call = tuple[Sequence[str], Sequence[Any]]


class Scripts:
    """The commands of the outbox as callables on one client."""

    def __init__(self, client: redis.Redis) -> None:
        self.accept = PipelinedScript(client, load(client, "accept"))
        self.unbind_idempotency_key = load(client, "unbind_idempotency_key")
        self.claim = load(client, "claim")
        self.settle = load(client, "settle")
        self.release = load(client, "release")
        self.due = load(client, "due")
        self.status = load(client, "status")
        self.backlog = load(client, "backlog")


class PipelinedScript:
    """A script that runs many times in one round trip. Cluster pipelines lack scripts: there, one at a time."""

    def __init__(self, client: redis.Redis, script: Script) -> None:
        self._client: Any = client
        self._script = script

    def __call__(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of each call, or the error of one that failed by itself."""
        if isinstance(self._client, RedisCluster):
            return [self._run_alone(script_keys, arguments) for script_keys, arguments in calls]
        results = self._run(calls)
        if any(isinstance(result, NoScriptError) for result in results):
            # The store is new, or was restarted. Those calls did nothing.
            self._client.script_load(self._script.script)
            not_run = [index for index, result in enumerate(results) if isinstance(result, NoScriptError)]
            for index, result in zip(not_run, self._run([calls[index] for index in not_run]), strict=True):
                results[index] = result
        return results

    def _run_alone(self, script_keys: Sequence[str], arguments: Sequence[Any]) -> Any:  # noqa: ANN401 - as the script returns
        try:
            return self._script(script_keys, arguments)
        except redis.ResponseError as error:
            return error

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        if not calls:
            return []
        # redis-py's pipeline does the same at twice the CPU time, and every write pays for it.
        commands = [
            pack_command(("EVALSHA", self._script.sha, len(script_keys), *script_keys, *arguments))
            for script_keys, arguments in calls
        ]
        if sum(map(len, commands)) <= _MAX_JOINED_BYTES:
            commands = [b"".join(commands)]
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(commands, check_health=False)
            return [_read_result(connection) for _ in calls]
        except BaseException:
            # Results that are still to arrive would be taken for those of the connection's next commands.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)


def _read_result(connection: Any) -> Any:  # noqa: ANN401 - as the script returns
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def load(client: redis.Redis, name: str) -> Script:
    """Return the script of this name as a callable on this client: ``script(keys, arguments)``."""
    return client.register_script(source(name))


def source(name: str) -> str:
    """Return the text of a script with the fragments that it includes."""
    directory = files(__package__) / "lua"
    text = (directory / f"{name}.lua").read_text()
    return _INCLUDE.sub(lambda include: (directory / "include" / f"{include[1]}.lua").read_text(), text)


def self_test(client: Any) -> list[str]:  # noqa: ANN401 - see RedisOutbox
    """Return the commands that the store refuses, each with the reason; none if all scripts can run."""
    with store_errors():
        refused = load(client, "self_test")(list(keys.SELF_TEST), [_SELF_TEST_TTL_MS])
    return [text.decode(errors="replace") for text in refused]
