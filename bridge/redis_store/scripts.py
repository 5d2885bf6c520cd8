# SPDX-License-Identifier: Apache-2.0
"""Loader of the Lua scripts: one file per command, each documents its keys, arguments and result at its head.

A line ``--- @include name`` stands for the file ``lua/include/name.lua``. A script that frees memory begins with
``#!lua flags=allow-oom``: the store runs it even when it is full. docs/adr/0019-the-store-is-redis-7-or-valkey.md
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors

_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)
#: Keys that an interrupted self-test leaves behind expire after this time.
_SELF_TEST_TTL_MS = 10_000

#: The keys and the arguments of one call.
Call = tuple[Sequence[str], Sequence[Any]]


class Scripts:
    """The commands of the outbox as callables on one client."""

    def __init__(self, client: redis.Redis) -> None:
        self.accept = PipelinedScript(client, load(client, "accept"))
        self.free = load(client, "free")
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
            return [self._run_alone(keys, args) for keys, args in calls]
        results = self._run(calls)
        if any(isinstance(result, NoScriptError) for result in results):
            # The store is new, or was restarted. Those calls did nothing.
            self._client.script_load(self._script.script)
            unrun = [number for number, result in enumerate(results) if isinstance(result, NoScriptError)]
            for number, result in zip(unrun, self._run([calls[number] for number in unrun]), strict=True):
                results[number] = result
        return results

    def _run_alone(self, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401 - as the script returns
        try:
            return self._script(keys, args)
        except redis.ResponseError as error:
            return error

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for names, args in calls:
            pipeline.evalsha(self._script.sha, len(names), *names, *args)
        results: list[Any] = pipeline.execute(raise_on_error=False)
        return results


def load(client: redis.Redis, name: str) -> Script:
    """Return this script, with the fragments that it includes, run on this client."""
    return client.register_script(source(name))


def source(name: str) -> str:
    """Return the text of a script with the fragments that it includes."""
    directory = files(__package__) / "lua"
    return _INCLUDE.sub(
        lambda found: (directory / "include" / f"{found[1]}.lua").read_text(), (directory / f"{name}.lua").read_text()
    )


def self_test(client: Any) -> list[str]:  # noqa: ANN401 - see RedisOutbox
    """Return what the store refuses, a sentence each; nothing if the scripts can do their work."""
    with store_errors():
        refused = load(client, "self_test")(list(keys.SELF_TEST), [_SELF_TEST_TTL_MS])
    return [text.decode(errors="replace") for text in refused]
