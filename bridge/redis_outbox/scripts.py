# SPDX-License-Identifier: Apache-2.0
"""Loads the Lua scripts: one file a verb, each with its keys, arguments and result named at its head."""

from importlib.resources import files

import redis
from redis.commands.core import Script


class Scripts:
    """The verbs of the outbox as callables on one client."""

    def __init__(self, client: redis.Redis) -> None:
        self.accept = _load(client, "accept")
        self.claim = _load(client, "read_head", "claim")
        self.settle = _load(client, "read_head", "settle")
        self.release = _load(client, "release")
        self.due = _load(client, "due")
        self.status = _load(client, "status")


def _load(client: redis.Redis, *names: str) -> Script:
    source = "\n".join((files(__package__) / "lua" / f"{name}.lua").read_text() for name in names)
    return client.register_script(source)
