# SPDX-License-Identifier: Apache-2.0
"""Loads the Lua scripts for the adapters of the store. Each file of ``lua/`` is one command.

The head of a script documents its keys, arguments and result. A line ``--- @include name`` stands for the file
``lua/include/name.lua``. A script that frees memory begins with ``#!lua flags=allow-oom``: the store runs it even when
it is full. docs/adr/0019-the-store-is-redis-7-or-valkey.md
"""

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, Protocol

import redis
from redis.cluster import RedisCluster
from redis.commands.core import Script
from redis.exceptions import AskError, ClusterError, NoScriptError

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.pipelines import SentCommands

_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)
#: Keys that an interrupted self-test leaves behind expire after this time.
_SELF_TEST_TTL_MS = 10_000

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


class SentCalls(Protocol):
    """Calls of a script that were sent. Exactly one of the methods is called, once."""

    #: The descriptor that becomes readable with the results; None where they are there already.
    descriptor: int | None
    #: The longest time that the store has for the first result.
    timeout_s: float

    def results(self) -> list[Any]:
        """Return the result of each call, or the error of one that failed by itself."""
        ...

    def abandon(self) -> None:
        """Close the connection, on which the results are still to arrive."""
        ...


class PipelinedScript:
    """A script that runs many times in one round trip; in a cluster, in one to each node."""

    def __init__(self, client: redis.Redis, script: Script) -> None:
        self._client: Any = client
        self._script = script

    def send(self, calls: Sequence[Call]) -> SentCalls:
        """Send the calls."""
        if not calls:
            return FinishedCalls([])
        if isinstance(self._client, RedisCluster):
            return _ClusterCalls(self._client, self._script, calls)
        return _PipelinedCalls(self._client, self._script, calls)

    def __call__(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of each call, or the error of one that failed by itself.

        In a cluster they run one at a time: redis-py then finds the node of each, also after a failover.
        """
        if isinstance(self._client, RedisCluster):
            return [_run_alone(self._script, call) for call in calls]
        return self.send(calls).results()


class FinishedCalls:
    """Calls with results that are known."""

    def __init__(self, results: list[Any]) -> None:
        self.descriptor: int | None = None
        self.timeout_s = 0.0
        self._results = results

    def results(self) -> list[Any]:
        """Return the results."""
        return self._results

    def abandon(self) -> None:
        """Do nothing: no result is still to arrive."""


class _PipelinedCalls:
    """Calls that were sent to one server."""

    def __init__(self, client: Any, script: Script, calls: Sequence[Call]) -> None:  # noqa: ANN401 - see RedisOutbox
        self._client = client
        self._script = script
        self._calls = calls
        self._sent = SentCommands(
            client,
            [("EVALSHA", script.sha, len(script_keys), *script_keys, *arguments) for script_keys, arguments in calls],
        )
        self.descriptor: int | None = self._sent.descriptor
        self.timeout_s = self._sent.timeout_s

    def results(self) -> list[Any]:
        results = self._sent.results()
        if not any(isinstance(result, NoScriptError) for result in results):
            return results
        # The store is new, or was restarted. Those calls did nothing.
        self._client.script_load(self._script.script)
        not_run = [index for index, result in enumerate(results) if isinstance(result, NoScriptError)]
        again = _PipelinedCalls(self._client, self._script, [self._calls[index] for index in not_run])
        for index, result in zip(not_run, again.results(), strict=True):
            results[index] = result
        return results

    def abandon(self) -> None:
        self._sent.abandon()


class _ClusterCalls:
    """Calls that were sent to the nodes of a cluster. The descriptor is that of one; the others are about as fast."""

    def __init__(self, client: Any, script: Script, calls: Sequence[Call]) -> None:  # noqa: ANN401 - see RedisOutbox
        self._script = script
        self._calls = calls
        #: What was sent to each node, with the indices of these calls.
        self._sent: list[tuple[list[int], _PipelinedCalls]] = []
        try:
            for server, indices in _by_node(client, calls):
                self._sent.append((indices, _PipelinedCalls(server, script, [calls[index] for index in indices])))
        except BaseException:
            self.abandon()
            raise
        self.descriptor: int | None = self._sent[0][1].descriptor
        self.timeout_s = self._sent[0][1].timeout_s

    def results(self) -> list[Any]:
        results: dict[int, Any] = {}
        try:
            while self._sent:
                indices, sent = self._sent.pop(0)
                results |= zip(indices, sent.results(), strict=True)
        except BaseException:
            self.abandon()
            raise
        return [
            # `MovedError` is one, too: the node did not run the call, because another serves the key now.
            _run_alone(self._script, call) if isinstance(results[index], AskError) else results[index]
            for index, call in enumerate(self._calls)
        ]

    def abandon(self) -> None:
        for _, sent in self._sent:
            sent.abandon()


def _by_node(client: Any, calls: Sequence[Call]) -> Iterable[tuple[Any, list[int]]]:  # noqa: ANN401 - see RedisOutbox
    """Return the client of each node with the indices of the calls for it."""
    nodes: dict[str, tuple[Any, list[int]]] = {}
    for index, (script_keys, _) in enumerate(calls):
        node = client.get_node_from_key(script_keys[0])
        _, indices = nodes.setdefault(node.name, (node, []))
        indices.append(index)
    return [(client.get_redis_connection(node), indices) for node, indices in nodes.values()]


def _run_alone(script: Script, call: Call) -> Any:  # noqa: ANN401 - as the script returns
    script_keys, arguments = call
    try:
        return script(script_keys, arguments)
    except (redis.ResponseError, ClusterError) as error:
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
