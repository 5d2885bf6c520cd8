# SPDX-License-Identifier: Apache-2.0
"""Loads the Lua scripts: one file a verb, each with its keys, arguments and result named at its head."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.commands.core import Script
from redis.exceptions import NoScriptError

Call = tuple[Sequence[str], Sequence[Any]]


class Scripts:
    """The verbs of the outbox as callables on one client."""

    def __init__(self, client: redis.Redis) -> None:
        self.accept = PipelinedScript(client, load(client, "weigh", "append", "accept"))
        self.claim = load(client, "read_head", "claim")
        self.settle = load(client, "read_head", "note_attempt", "settle")
        self.release = load(client, "note_attempt", "release")
        self.due = load(client, "due")
        self.status = load(client, "status")
        self.backlog = load(client, "backlog")


def load(client: redis.Redis, *names: str) -> Script:
    """Return the script that the named files make together, run on this client."""
    source = "\n".join((files(__package__) / "lua" / f"{name}.lua").read_text() for name in names)
    return client.register_script(source)


class PipelinedScript:
    """A script that is run many times in one round trip. A cluster, whose pipelines know no scripts, takes one each."""

    def __init__(self, client: redis.Redis, script: Script) -> None:
        self._client: Any = client
        self._script = script

    def __call__(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of each call; of one that failed by itself, its error."""
        if isinstance(self._client, RedisCluster):
            return [self._run_alone(keys, args) for keys, args in calls]
        results = self._run(calls)
        if any(isinstance(result, NoScriptError) for result in results):
            # The store is new, or was restarted. Those calls did nothing.
            self._client.script_load(self._script.script)
            left = [number for number, result in enumerate(results) if isinstance(result, NoScriptError)]
            for number, result in zip(left, self._run([calls[number] for number in left]), strict=True):
                results[number] = result
        return results

    def _run_alone(self, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401 - as the script returns
        try:
            return self._script(keys, args)
        except redis.ResponseError as error:
            return error

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for keys, args in calls:
            pipeline.evalsha(self._script.sha, len(keys), *keys, *args)
        results: list[Any] = pipeline.execute(raise_on_error=False)
        return results
