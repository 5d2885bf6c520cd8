# SPDX-License-Identifier: Apache-2.0
"""Loads the Lua scripts: one file a verb, each with its keys, arguments and result named at its head."""

from importlib.resources import files

import redis
from redis.commands.core import Script

from bridge.redis_outbox.client import PerThread


class Scripts:
    """The verbs of the outbox as callables on one client."""

    def __init__(self, client: redis.Redis) -> None:
        self.accept = PerThread(client, lambda client: load(client, "append", "accept"))
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
